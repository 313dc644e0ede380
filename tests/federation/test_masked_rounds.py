"""The coordinator's side of masked rounds: who falls out, who lies, a process that is killed."""

from dataclasses import replace

import numpy as np
import pytest

from coordinator.federation.masked_rounds import RoundLost
from protocols import federation as names
from protocols.canonical import canonical_json, parse_canonical
from protocols.keys import SigningKey
from protocols.masking.errors import CohortOfFew
from protocols.masking.roster import Signed
from protocols.masking.wire import join, join_map, split, split_map
from tests.federation.masking_peers import SIZE, Coordinator, Peers
from tests.federation.rounds import Campaign
from tests.protocols.masking_cohort import Cohort, member_ids, terms

A, B, C, D, E = member_ids(5)


@pytest.fixture
def peers() -> Peers:
    return Peers(Cohort(terms(5, 3)))


@pytest.fixture
def coordinator(peers: Peers, campaign: Campaign) -> Coordinator:
    return Coordinator(peers, campaign.plan)


def expected(coordinator: Coordinator, number: int, members: tuple[str, ...]) -> np.ndarray:
    values = coordinator.values(number)
    return sum(values[one] for one in members)


def test_a_round_opens_to_the_sum_of_those_who_sent(coordinator):
    opened = coordinator.open(1, coordinator.inputs(1))
    assert opened.members == (A, B, C, D, E)
    assert (opened.total == expected(coordinator, 1, opened.members)).all()
    assert coordinator.rounds.refusals == {}


@pytest.mark.parametrize("step", [names.KEYS_STEP, names.ROSTER_STEP, names.DEAL_STEP])
def test_a_member_silent_while_masks_are_agreed_is_left_out(peers, campaign, step):
    peers.silent = {(B, step), (D, step)}
    coordinator = Coordinator(peers, campaign.plan)
    assert coordinator.agreement.layout.dealers == (A, C, E)
    opened = coordinator.open(1, coordinator.inputs(1))
    assert (opened.total == expected(coordinator, 1, (A, C, E))).all()


def test_a_member_silent_at_the_start_joins_the_first_round_it_is_there_for(peers, campaign):
    peers.silent = {(B, names.START_STEP)}
    coordinator = Coordinator(peers, campaign.plan)
    ready = {peers.numbers[number] for number in coordinator.rounds.ready()}
    assert ready == {A, C, D, E}
    peers.silent = set()
    ready = {peers.numbers[number] for number in coordinator.rounds.ready()}
    assert ready == {A, B, C, D, E}


@pytest.mark.parametrize("step", [names.KEYS_STEP, names.ROSTER_STEP, names.DEAL_STEP])
def test_below_the_threshold_masks_are_not_agreed(peers, campaign, step):
    peers.silent = {(one, step) for one in (A, B, C)}
    with pytest.raises(CohortOfFew):
        Coordinator(peers, campaign.plan)


@pytest.mark.parametrize("step", [names.KEYS_STEP, names.ROSTER_STEP, names.DEAL_STEP])
@pytest.mark.parametrize("answer", [b"", b"\xff" * 9, join([b"x" * 100]), join([b"a", b"b"])])
def test_a_member_that_answers_garbage_is_left_out_and_named(peers, campaign, step, answer):
    peers.twists[(B, step)] = lambda _: answer
    coordinator = Coordinator(peers, campaign.plan)
    assert coordinator.agreement.layout.dealers == (A, C, D, E)
    assert [one for one, _ in coordinator.excluded] == [B]


def test_keys_in_anothers_name_are_left_out_and_named(peers, campaign):
    """A member that hands in another's announcement, or keys signed by a stranger, is out."""
    cohort = peers.cohort
    other = join([cohort.parties[A].announce(cohort.keys[A]).to_bytes()])
    forged = join([cohort.parties[C].announce(SigningKey.generate()).to_bytes()])
    peers.twists = {(B, names.KEYS_STEP): lambda _: other, (C, names.KEYS_STEP): lambda _: forged}
    coordinator = Coordinator(peers, campaign.plan)
    assert coordinator.agreement.layout.dealers == (A, D, E)
    assert coordinator.excluded == [(B, "mask_key_foreign"), (C, "mask_key_foreign")]


@pytest.mark.parametrize("step", [names.VIEW_STEP, names.UNMASK_STEP])
def test_two_of_five_may_fall_silent_after_their_input(coordinator, step):
    """Whoever is silent at the view or at the answer is stood in for; its input counts."""
    coordinator.peers.silent = {
        (B, step),
        (D, step),
        (B, names.UNMASK_STEP),
        (D, names.UNMASK_STEP),
    }
    opened = coordinator.open(1, coordinator.inputs(1))
    assert (opened.total == expected(coordinator, 1, (A, B, C, D, E))).all()


def test_a_member_away_and_another_silent_in_the_same_round(coordinator):
    inputs = coordinator.inputs(1)
    del inputs[A]
    coordinator.peers.silent = {(B, names.UNMASK_STEP)}
    opened = coordinator.open(1, inputs)
    assert (opened.total == expected(coordinator, 1, (B, C, D, E))).all()


def test_below_the_quorum_nothing_is_opened_and_the_round_may_be_tried_again(coordinator):
    """Two inputs of three: no view is shown to anybody. With a third one the round goes on."""
    inputs = coordinator.inputs(1)
    assert coordinator.open(1, {one: inputs[one] for one in (A, B)}) is None
    assert not any(coordinator.peers.cohort.views.values())
    opened = coordinator.open(1, {C: inputs[C]})
    assert (opened.total == expected(coordinator, 1, (A, B, C))).all()


def test_a_view_that_too_few_sign_opens_nothing_and_stays_the_rounds_view(coordinator):
    """Asked again, the same set is opened, or none: the round is lost when they stay away."""
    steps = (names.VIEW_STEP,)
    coordinator.peers.silent = {(one, step) for one in (A, B, C) for step in steps}
    inputs = coordinator.inputs(1)
    assert coordinator.open(1, inputs) is None
    coordinator.peers.silent = set()
    opened = coordinator.open(1, {one: inputs[one] for one in (A, B, C)})
    assert opened.members == (A, B, C, D, E)
    coordinator.peers.silent = {(one, names.VIEW_STEP) for one in (A, B, C)}
    inputs = coordinator.inputs(2)
    assert coordinator.open(2, inputs) is None
    with pytest.raises(RoundLost):
        coordinator.open(2, inputs)
    coordinator.peers.silent = set()
    assert coordinator.open(3, coordinator.inputs(3)) is not None


def offences(inputs) -> dict[str, object]:
    good = inputs[C]
    return {
        "short": replace(good, octets=good.octets[:-1]),
        "wide": replace(good, octets=np.zeros((SIZE, 8), np.uint8)),
        "other type": replace(good, octets=good.octets.astype(np.uint16)),
        "other round": replace(good, context=bytes(32)),
        "fewer neighbours": replace(
            good, pair_commitments=good.pair_commitments[1:], wrapped=good.wrapped[1:]
        ),
        "short seed": replace(good, salt=b"x"),
    }


@pytest.mark.parametrize("name", list(offences({C: Cohort(terms(5, 3)).agree().inputs(
    {one: np.zeros(SIZE, np.int64) for one in member_ids(5)})[C]})))  # fmt: skip
def test_an_input_that_is_not_one_is_left_out_by_code_and_the_others_count(coordinator, name):
    """Garbage, another length, a replayed round: the sum is that of the others, exactly."""
    inputs = coordinator.inputs(1)
    opened = coordinator.open(1, {**inputs, C: offences(inputs)[name]})
    assert (opened.total == expected(coordinator, 1, (A, B, D, E))).all()
    assert coordinator.rounds.refusals[C] in {"tensor_refused", "masking_malformed"}


def test_the_input_of_another_round_is_left_out(coordinator):
    """A member that sends last round's bytes again is not counted."""
    old = coordinator.inputs(1)
    coordinator.open(1, old)
    opened = coordinator.open(2, {**coordinator.inputs(2), C: old[C]})
    assert opened.members == (A, B, D, E)
    assert coordinator.rounds.refusals == {C: "masking_malformed"}


def test_a_member_that_sends_two_inputs_to_one_round_is_out(coordinator):
    """Equivocation has its own code, for which a member is dropped from the campaign."""
    inputs = coordinator.inputs(1)
    assert coordinator.open(1, {one: inputs[one] for one in (A, C)}) is None
    other = replace(inputs[C], octets=inputs[C].octets ^ np.uint8(1))
    opened = coordinator.open(1, {**inputs, C: other})
    assert opened.members == (A, B, D, E)
    assert coordinator.rounds.refusals == {C: "round_input_changed"}


def test_masks_that_fit_nobodys_are_left_out_before_the_view(coordinator):
    inputs = coordinator.inputs(1)
    inputs[C] = replace(inputs[C], pair_commitments=(bytes(32),) * 4)
    opened = coordinator.open(1, inputs)
    assert (opened.total == expected(coordinator, 1, (A, B, D, E))).all()
    assert coordinator.rounds.refusals == {C: "mask_mismatch"}


def test_a_ledger_that_is_no_number_is_left_out(coordinator):
    inputs = coordinator.inputs(1)
    replies = [coordinator.reply(one, masked, float("nan") if one == C else 0.5)
               for one, masked in inputs.items()]  # fmt: skip
    opened = coordinator.rounds.open(1, bytes(32), replies, SIZE)
    assert opened is None  # another model than they were masked for: nobody counts
    assert set(coordinator.rounds.refusals) == {A, B, C, D, E}


def test_a_wrong_signature_does_not_count(coordinator):
    coordinator.peers.twists[(B, names.VIEW_STEP)] = lambda _: join([names.SIGNED, bytes(64)])
    opened = coordinator.open(1, coordinator.inputs(1))
    assert opened.members == (A, B, C, D, E)
    assert coordinator.rounds.refusals[B] == "signature_invalid"


@pytest.mark.parametrize("answer", [join([bytes(32)]), join([bytes(32)] * 3), b"", b"\x01"])
def test_a_member_that_opens_something_else_is_named_and_stood_in_for(coordinator, answer):
    coordinator.peers.twists[(B, names.UNMASK_STEP)] = lambda _: answer
    opened = coordinator.open(1, coordinator.inputs(1))
    assert (opened.total == expected(coordinator, 1, (A, B, C, D, E))).all()
    assert coordinator.rounds.refusals[B] in {"mask_answer_wrong", "masking_malformed"}


def test_a_wrong_share_is_named_and_the_others_suffice(coordinator):
    """C answers in B's place with A's part of it: it fails its proof, and three others do."""
    stolen = {}

    def keep(answer: bytes) -> bytes:
        stolen["part"] = split_map(split(answer)[0])[B]
        return answer

    coordinator.peers.silent = {(B, names.UNMASK_STEP)}
    coordinator.peers.twists[(A, names.STAND_IN_STEP)] = keep
    coordinator.peers.twists[(C, names.STAND_IN_STEP)] = lambda _: join(
        [join_map({B: stolen["part"]})]
    )
    opened = coordinator.open(1, coordinator.inputs(1))
    assert (opened.total == expected(coordinator, 1, (A, B, C, D, E))).all()
    assert coordinator.rounds.refusals == {C: "evaluation_proof_invalid"}


def test_a_member_whose_masks_were_never_those_it_committed_to_loses_the_round(coordinator):
    """Nobody can take away a mask that is not the one; nothing of the round is used."""
    inputs = coordinator.inputs(1)
    inputs[B] = replace(inputs[B], self_commitment=bytes(32))
    with pytest.raises(RoundLost):
        coordinator.open(1, inputs)
    assert coordinator.rounds.refusals[B] == "mask_answer_wrong"


def test_a_killed_coordinator_goes_on_with_the_same_masks_and_the_same_view(coordinator, campaign):
    """Killed between view and answers, it forgets the view: its members tell it, and it opens."""
    inputs = coordinator.inputs(1)
    coordinator.peers.silent = {(one, names.UNMASK_STEP) for one in (A, B, C, D, E)}
    given = {one: inputs[one] for one in (A, B, C, D)}
    assert coordinator.open(1, given) is None
    coordinator.peers.silent = set()
    second = Coordinator(coordinator.peers, campaign.plan, coordinator.row)
    assert second.agreement.layout.sha256 == coordinator.agreement.layout.sha256
    opened = second.open(1, inputs)
    assert opened.members == (A, B, C, D)
    assert (opened.total == expected(coordinator, 1, (A, B, C, D))).all()
    assert second.open(2, second.inputs(2)).members == (A, B, C, D, E)


def test_one_member_that_invents_an_older_view_changes_nothing(coordinator):
    """What a single member says it signed before is believed only where the others do not sign."""
    lie = coordinator.rounds._view_of(1, bytes(32), (A, B, C)).to_body()
    coordinator.peers.twists[(A, names.VIEW_STEP)] = lambda _: join([names.OTHER, lie])
    opened = coordinator.open(1, coordinator.inputs(1))
    assert opened.members == (A, B, C, D, E)


@pytest.mark.parametrize("stage", ["announcements", "reveals"])
def test_a_coordinator_killed_while_masks_are_agreed_goes_on_with_the_same_keys(
    peers, campaign, stage
):
    first = Coordinator(peers, campaign.plan)
    row = replace(first.row, deals=b"")
    if stage == "announcements":
        row = replace(row, reveals=b"")
    second = Coordinator(peers, campaign.plan, row)
    assert second.agreement.layout.sha256 == first.agreement.layout.sha256


def bad_shares(sealed_for: tuple[str, ...]):
    """A deal of B's whose sealed shares for some holders are garbage; signed by B all the same."""

    def twist(cohort: Cohort, answer: bytes) -> bytes:
        deal = Signed.from_bytes(split(answer)[0])
        body = parse_canonical(deal.body, max_bytes=10**6)
        for holder in sealed_for:
            body["sealed"][holder] = "00" * 60
        changed = canonical_json(body)
        key = cohort.parties[B]._view_key
        return join([Signed(changed, key.sign("mask-deal", changed)).to_bytes()])

    return twist


def test_a_dealer_of_bad_shares_is_left_out_when_too_few_could_stand_in(peers, campaign):
    """Two of five holders may complain of a dealer; with the third its inputs count no more."""
    twist = bad_shares((A, C, D))
    peers.twists[(B, names.DEAL_STEP)] = lambda answer: twist(peers.cohort, answer)
    coordinator = Coordinator(peers, campaign.plan)
    opened = coordinator.open(1, coordinator.inputs(1))
    assert (opened.total == expected(coordinator, 1, (A, C, D, E))).all()
    assert coordinator.rounds.refusals == {B: "mask_share_invalid"}


def test_a_few_bad_shares_leave_the_dealer_in_and_its_masks_open_without_them(peers, campaign):
    twist = bad_shares((A, C))
    peers.twists[(B, names.DEAL_STEP)] = lambda answer: twist(peers.cohort, answer)
    coordinator = Coordinator(peers, campaign.plan)
    assert coordinator.open(1, coordinator.inputs(1)).members == (A, B, C, D, E)
    peers.silent = {(D, names.UNMASK_STEP)}
    opened = coordinator.open(2, coordinator.inputs(2))
    assert (opened.total == expected(coordinator, 2, (A, B, C, D, E))).all()


def test_one_liar_cannot_complain_an_honest_dealer_out(peers, campaign):
    """A member that says every share it got is bad changes nothing for the others."""
    lie = join([one.encode() for one in (B, C, D, E)])
    peers.twists[(A, names.START_STEP)] = lambda _: lie
    coordinator = Coordinator(peers, campaign.plan)
    assert coordinator.rounds.unusable() == set()
    assert coordinator.open(1, coordinator.inputs(1)).members == (A, B, C, D, E)
