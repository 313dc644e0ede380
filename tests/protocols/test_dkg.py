"""A key that nobody holds comes out of honest trustees; a cheat is named."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import dkg, oprf, ristretto
from protocols.canonical import canonical_json, sha256
from protocols.errors import InvalidInput
from protocols.keys import SealingKey
from protocols.secret_sharing import recover

NAMES = ("bank-a", "bank-b", "bank-c", "payments", "public-records")
CEREMONY = dkg.Ceremony("cer_1", epoch=1, threshold=3, trustees=NAMES)

MutableBoard = dict[dkg.Round, dict[str, bytes]]
Meddle = Callable[[dkg.Round, MutableBoard], None]


def run(
    meddle: Meddle = lambda _round, _board: None,
) -> tuple[MutableBoard, dict[str, dkg.Trustee]]:
    """All trustees through rounds 1 to 4; `meddle` may change a round's entries once posted."""
    keys = {name: SealingKey.generate() for name in NAMES}
    publics = {name: key.public for name, key in keys.items()}
    trustees = {name: dkg.Trustee(CEREMONY, name, keys[name], publics) for name in NAMES}
    board: MutableBoard = {}
    board["commitment"] = {name: t.commitment() for name, t in trustees.items()}
    meddle("commitment", board)
    board["deal"] = {name: t.deal() for name, t in trustees.items()}
    meddle("deal", board)
    board["verdict"] = {name: t.verdict(board) for name, t in trustees.items()}
    meddle("verdict", board)
    board["answer"] = {name: t.answer(board) for name, t in trustees.items()}
    meddle("answer", board)
    return board, trustees


def conclude(board: MutableBoard, trustees: dict[str, dkg.Trustee]) -> dict[str, bytes]:
    """Everybody's share, after everybody agreed on one judgement."""
    results = {name: t.conclude(board) for name, t in trustees.items()}
    judgement = dkg.judge(CEREMONY, board)
    assert all(own == judgement for own, _ in results.values())
    board["confirmation"] = {name: dkg.confirmation(own) for name, (own, _) in results.items()}
    dkg.settle(judgement, board)
    return {name: share for name, (_, share) in results.items()}


def test_honest_trustees_get_shares_of_one_key_and_nobody_is_blamed() -> None:
    board, trustees = run()
    shares = conclude(board, trustees)
    judgement = dkg.judge(CEREMONY, board)
    assert judgement.blamed == {}
    by_index = {CEREMONY.index(name): share for name, share in shares.items()}
    for chosen in ((1, 2, 3), (2, 4, 5)):
        key = recover({index: by_index[index] for index in chosen})
        assert ristretto.multiply_base(key) == judgement.public_key


def test_the_shares_serve_the_threshold_oprf() -> None:
    board, trustees = run()
    shares = conclude(board, trustees)
    judgement = dkg.judge(CEREMONY, board)
    blinded = [oprf.blind(b"a person")]
    outputs = []
    for chosen in (NAMES[:3], NAMES[2:]):
        evaluations = {}
        for name in chosen:
            elements = [item.element for item in blinded]
            evaluated = oprf.evaluate(shares[name], elements)
            public = judgement.verification_shares[name]
            proof = oprf.prove(shares[name], public, elements, evaluated)
            oprf.verify(public, elements, evaluated, proof)
            evaluations[CEREMONY.index(name)] = evaluated
        outputs.append(oprf.combine(blinded, evaluations)[0])
    assert outputs[0] == outputs[1]


def drop(name: str, round_: dkg.Round) -> Meddle:
    def meddle(at: dkg.Round, board: MutableBoard) -> None:
        if at == round_:
            del board[at][name]

    return meddle


def reseal(name: str, change: Callable[[dict[str, object]], None]) -> Meddle:
    """`name` commits to and deals a changed opening, as a cheating dealer would."""

    def meddle(at: dkg.Round, board: MutableBoard) -> None:
        if at == "deal":
            value = json.loads(board["deal"][name])
            change(value)
            board["deal"][name] = canonical_json(value)
            board["commitment"][name] = canonical_json(
                {"opening_sha256": sha256(board["deal"][name]).hex()}
            )

    return meddle


def wrong_share_to_one(value: dict[str, object]) -> None:
    sealed = value["sealed"]
    assert isinstance(sealed, dict)
    sealed["bank-b"] = "00" * 60


def too_few_commitments(value: dict[str, object]) -> None:
    commitments = value["commitments"]
    assert isinstance(commitments, list)
    commitments.pop()


def somebody_elses_secret(value: dict[str, object]) -> None:
    commitments = value["commitments"]
    assert isinstance(commitments, list)
    commitments[0] = ristretto.multiply_base(ristretto.random_scalar()).hex()


@pytest.mark.parametrize(
    ("meddle", "reason"),
    [
        (drop("bank-c", "commitment"), "silent"),
        (drop("bank-c", "deal"), "silent"),
        (reseal("bank-c", too_few_commitments), "wrong_degree"),
        (reseal("bank-c", somebody_elses_secret), "wrong_proof"),
    ],
)
def test_a_dealer_that_cheats_in_public_is_out_and_the_others_get_a_key(
    meddle: Meddle, reason: str
) -> None:
    board, trustees = run(meddle)
    del trustees["bank-c"]
    for trustee in trustees.values():
        trustee.conclude(board)
    assert dkg.judge(CEREMONY, board).blamed == {"bank-c": reason}


def test_an_opening_that_was_not_committed_to_is_out() -> None:
    def meddle(at: dkg.Round, board: MutableBoard) -> None:
        if at == "deal":
            board["deal"]["bank-c"] = board["deal"]["bank-c"] + b" "

    board, _ = run(meddle)
    assert dkg.judge(CEREMONY, board).blamed == {"bank-c": "changed_commitment"}


def test_a_wrong_share_is_accused_shown_and_used() -> None:
    board, trustees = run(reseal("bank-c", wrong_share_to_one))
    assert json.loads(board["verdict"]["bank-b"])["accused"] == ["bank-c"]
    shares = conclude(board, trustees)
    judgement = dkg.judge(CEREMONY, board)
    assert judgement.blamed == {}
    assert ristretto.multiply_base(shares["bank-b"]) == judgement.verification_shares["bank-b"]


def test_an_accused_dealer_that_stays_silent_is_blamed() -> None:
    cheat, silence = reseal("bank-c", wrong_share_to_one), drop("bank-c", "answer")

    def meddle(at: dkg.Round, board: MutableBoard) -> None:
        cheat(at, board)
        silence(at, board)

    board, _ = run(meddle)
    assert dkg.judge(CEREMONY, board).blamed == {"bank-c": "unanswered_complaint"}


def test_an_accused_dealer_that_shows_a_wrong_share_is_blamed() -> None:
    cheat = reseal("bank-c", wrong_share_to_one)

    def meddle(at: dkg.Round, board: MutableBoard) -> None:
        cheat(at, board)
        if at == "answer":
            wrong = {"bank-b": ristretto.random_scalar().hex()}
            board["answer"]["bank-c"] = canonical_json({"shares": wrong})

    board, _ = run(meddle)
    assert dkg.judge(CEREMONY, board).blamed == {"bank-c": "wrong_share"}


def test_a_false_accusation_blames_nobody() -> None:
    def meddle(at: dkg.Round, board: MutableBoard) -> None:
        if at == "verdict":
            board["verdict"]["bank-a"] = canonical_json({"accused": ["bank-b", "stranger"]})

    board, trustees = run(meddle)
    conclude(board, trustees)
    assert dkg.judge(CEREMONY, board).blamed == {}


def test_too_few_honest_trustees_make_no_key() -> None:
    def meddle(at: dkg.Round, board: MutableBoard) -> None:
        if at == "deal":
            for name in NAMES[:3]:
                del board["deal"][name]

    board, _ = run(meddle)
    with pytest.raises(dkg.CeremonyFailed) as caught:
        dkg.judge(CEREMONY, board)
    assert caught.value.blamed == dict.fromkeys(NAMES[:3], "silent")


def test_two_boards_shown_to_two_trustees_are_found_out() -> None:
    board, trustees = run()
    other = {round_: dict(entries) for round_, entries in board.items()}
    del other["answer"]["bank-b"]
    judgement = dkg.judge(CEREMONY, board)
    board["confirmation"] = {
        name: dkg.confirmation(t.conclude(other if name == "bank-b" else board)[0])
        for name, t in trustees.items()
    }
    with pytest.raises(dkg.TranscriptDiverged):
        dkg.settle(judgement, board)


def test_a_key_that_one_trustee_did_not_confirm_is_not_used() -> None:
    board, _ = run()
    judgement = dkg.judge(CEREMONY, board)
    board["confirmation"] = {name: dkg.confirmation(judgement) for name in NAMES[1:]}
    with pytest.raises(dkg.CeremonyFailed, match="did not confirm"):
        dkg.settle(judgement, board)


@pytest.mark.parametrize(
    ("threshold", "trustees"), [(1, NAMES), (6, NAMES), (2, ("bank-a", "bank-a")), (2, ("X", "y"))]
)
def test_a_ceremony_that_could_protect_nothing_is_refused(
    threshold: int, trustees: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput):
        dkg.Ceremony("cer_1", epoch=1, threshold=threshold, trustees=trustees)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(dkg.ROUNDS), st.dictionaries(
    st.sampled_from(NAMES), st.binary(max_size=200))))  # fmt: skip
def test_no_board_of_rubbish_makes_a_key_or_crashes(board: MutableBoard) -> None:
    with pytest.raises(dkg.CeremonyFailed):
        dkg.judge(CEREMONY, board)
