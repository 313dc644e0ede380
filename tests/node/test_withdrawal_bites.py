"""What a withdrawal takes with it at each party, who attests to it, and where each party stands."""

import json
from dataclasses import replace

import pytest

from audit.checkpoint import NoteKey
from audit.leaf import Entry
from audit.sorted_set import SortedSet
from audit.verifier.absence import check_training_proof
from audit.verifier.receipt import ReceiptInvalid
from consent.deletion import parse_signed, sign_deletion
from consent.delivery import Acknowledgement
from consent.lifecycle import Event
from consent.refusals import ConsentUnknown
from consent.status_list import LIFE_MS
from node.consents.parties import Parties
from node.consents.training_proof import NotWithdrawn, make_training_proof
from node.storage import privacy_ledger, scores, training
from node.storage.scores import ScoreRow
from protocols.errors import CredenceError, Malformed, SignatureInvalid
from protocols.keys import SigningKey
from tests.node.consent_world import ConsentWorld, person


@pytest.fixture
def world(tmp_path):
    opened = ConsentWorld(tmp_path)
    for member in opened.members.values():
        member.enrol(*range(1, 8))
    yield opened
    opened.close()


@pytest.fixture
def bank(world):
    return world.member("bank-a")


@pytest.fixture
def consent_id(world):
    return world.grant("bank-a", 1, holders=["payments", "public-records"])


def keep_score(member, consent_id, number):
    row = ScoreRow(
        score_id=f"scr_{member.member_id}_{number}",
        subject_ref="sub_1",
        consent_id=consent_id,
        client_id="cli_test",
        purpose="score",
        result="{}",
        at_ms=number,
        leaf_seq=0,
        idempotency_key=None,
        request_sha256=bytes(32),
    )
    with member.database.write() as connection:
        scores.add_many(connection, [row])


def kept_scores(member):
    with member.database.read() as connection:
        return [who for who, _ in scores.between(connection, 0, 2**53)].count("sub_1")


def withdraw(world, consent_id, number=1):
    world.tick(1_000)
    said = world.said("bank-a", consent_id, number, Event.WITHDRAW)
    return world.member("bank-a").consents.withdraw(consent_id, said)


def parties(world, consent_id):
    bank = world.member("bank-a")
    return {one.member_id: one for one in Parties(bank.database, "bank-a").parties(consent_id)}


# -- deletion


def test_scores_and_signals_go_with_the_withdrawal_and_others_stay(world, bank, consent_id):
    other = world.grant("bank-a", 2, holders=["payments"])
    for number, one in enumerate([consent_id, consent_id, other]):
        keep_score(bank, one, number)
    bank.keep_vector(person(1), "payments", "score", consent_id)
    withdraw(world, consent_id)
    assert kept_scores(bank) == 1
    assert bank.vectors(person(1)) == []
    own = parties(world, consent_id)["bank-a"].deletion
    assert (own.signals, own.scores, own.answers) == (1, 2, 0)


def test_each_party_attests_to_what_it_deleted(world, consent_id):
    payments = world.member("payments")
    payments.keep_vector(person(1), "public-records", "score", consent_id)
    payments.keep_vector(person(1), "bank-a", "score", consent_id)
    keep_score(payments, consent_id, 1)
    withdraw(world, consent_id)
    found = parties(world, consent_id)
    deletion = found["payments"].deletion
    assert (deletion.member_id, deletion.signals, deletion.scores) == ("payments", 2, 1)
    assert found["public-records"].deletion.total == 0


def test_the_attestation_stands_in_the_receipt_with_its_signature(world, bank, consent_id):
    world.member("payments").keep_vector(person(1), "bank-a", "score", consent_id)
    withdraw(world, consent_id)
    event = bank.consents.receipt(consent_id)["events"][-1]
    said = {one["party_id"]: one for one in event["confirmed_by"]}
    assert said["payments"]["deleted"]["signals"] == 1
    assert parse_signed(said["payments"]["deleted"]["signed"].encode()).member_id == "payments"
    assert said["payments"]["received"] >= event["event_time"]


def test_what_was_deleted_stands_in_the_leaf_of_the_withdrawal(world, bank, consent_id):
    keep_score(bank, consent_id, 1)
    withdraw(world, consent_id)
    payload = bank.audit.payload(bank.leaves() - 1)
    assert payload["scores_deleted"] == 1
    assert payload["vectors_deleted"] == payload["answers_deleted"] == 0


def test_a_withdrawal_told_twice_is_attested_alike(world, bank, consent_id):
    payments = world.member("payments")
    payments.keep_vector(person(1), "bank-a", "score", consent_id)
    bank.courier.lose_answers.add("payments")
    withdraw(world, consent_id)
    assert parties(world, consent_id)["payments"].acknowledged_at_ms is None
    bank.courier.lose_answers.clear()
    world.tick(5_000)
    bank.consents.push_pending()
    assert parties(world, consent_id)["payments"].deletion.signals == 1


def test_a_pause_deletes_nothing(world, bank, consent_id):
    keep_score(bank, consent_id, 1)
    world.tick(1_000)
    bank.consents.apply(consent_id, world.said("bank-a", consent_id, 1, Event.PAUSE))
    assert kept_scores(bank) == 1
    assert all(one.deletion is None for one in parties(world, consent_id).values())


@pytest.mark.parametrize("wrong", ["another party", "another consent", "unsigned"])
def test_an_attestation_that_is_not_the_partys_own_is_no_acknowledgement(world, bank, wrong):
    consent_id = world.grant("bank-a", 1, holders=["payments"])
    payments = world.member("payments")
    honest = bank.courier.deliver

    def forged(member_id, deliveries):
        for one in honest(member_id, deliveries):
            made = parse_signed(one.deletion)
            key = payments.signing
            if wrong == "another party":
                made = replace(made, member_id="bank-b")
            elif wrong == "another consent":
                made = replace(made, consent_id="con_" + "a" * 26)
            else:
                key = SigningKey.generate()
            yield Acknowledgement(
                one.delivery_id,
                one.refusal,
                one.effective_at_ms,
                one.signature,
                sign_deletion(made, key),
            )

    bank.courier.deliver = forged
    changed = withdraw(world, consent_id)
    assert changed.pending == ["payments"]
    bank.courier.deliver = honest
    world.tick(5_000)
    bank.consents.push_pending()
    assert parties(world, consent_id)["payments"].deletion is not None


# -- where parties stand


def test_a_party_has_acknowledged_or_cannot_serve_after_a_minute(world, bank, consent_id):
    bank.courier.cut.add("public-records")
    changed = withdraw(world, consent_id)
    found = parties(world, consent_id)
    assert list(found) == ["bank-a", "payments", "public-records"]
    assert found["bank-a"].acknowledged_at_ms == changed.effective_at_ms
    assert found["payments"].acknowledged_at_ms == world.now_ms
    cut = found["public-records"]
    assert (cut.acknowledged_at_ms, cut.refusal, cut.deletion) == (None, "", None)
    assert cut.cannot_serve_after_ms == changed.effective_at_ms + LIFE_MS


def test_a_grant_stops_nothing(world, consent_id):
    found = parties(world, consent_id)
    assert {one.cannot_serve_after_ms for one in found.values()} == {None}
    assert found["payments"].acknowledged_at_ms == world.now_ms


def test_nothing_is_known_of_a_consent_that_is_not_here(world, bank):
    with pytest.raises(ConsentUnknown):
        Parties(bank.database, "bank-a").parties("con_" + "a" * 26)


# -- training


def run_round(member, number, hashes):
    """A training round over these consents, written down as the trainer does."""
    ordered = sorted(hashes)
    root = SortedSet(ordered).root
    with member.database.write() as connection:
        training.keep_cohort(connection, root, b"".join(ordered), number)
        leaf = member.audit.append(
            connection,
            Entry(
                kind="training.round",
                actor=member.member_id,
                purpose="train",
                correlation="cmp_test",
                payload={"cohort_root": root.hex(), "cohort_size": len(ordered)},
                subject=None,
                at_ms=number,
            ),
        )
        privacy_ledger.add_charge(
            connection,
            privacy_ledger.ChargeRow(
                population=member.member_id, campaign_id="cmp_test", round=number,
                mechanism="step", noise_multiplier=1.0, own_noise_multiplier=1.0,
                sampling_rate=0.1, epsilon_after=1.0, epsilon_alone_after=1.0,
                delta=1e-5, at_ms=number, leaf_seq=leaf.seq,
            ),
        )  # fmt: skip


def hash_of(member, consent_id):
    return member.consents.get(consent_id).terms.consent_hash


@pytest.fixture
def trained(world, bank, consent_id):
    """The person was in round 1, withdrew, and was in none of the rounds 2 to 5."""
    others = [world.grant("bank-a", number, holders=["payments"]) for number in range(2, 7)]
    hashes = [hash_of(bank, one) for one in others]
    run_round(bank, 1, [*hashes, hash_of(bank, consent_id)])
    withdraw(world, consent_id)
    for number in range(2, 5):
        run_round(bank, number, hashes[: number + 1])
    run_round(bank, 5, [])
    return bank


def proof_of(member, consent_id):
    return make_training_proof(member.database, member.audit, consent_id, member.signing)


def check(proof):
    return check_training_proof(json.dumps(proof).encode())


def test_a_person_can_check_that_no_later_round_drew_on_them(trained, consent_id):
    found = check(proof_of(trained, consent_id))
    assert (found.consent_id, found.rounds) == (consent_id, 4)
    assert found.newest_seq == trained.leaves() - 1
    assert found.log == "bank-a"


def test_the_rounds_before_the_withdrawal_are_not_among_them(trained, consent_id):
    proof = proof_of(trained, consent_id)
    assert min(one["seq"] for one in proof["rounds"]) > proof["withdrawal"]["seq"]


def test_a_round_that_did_draw_on_a_withdrawn_consent_cannot_be_proven_otherwise(
    trained, consent_id
):
    honest = proof_of(trained, consent_id)
    run_round(trained, 6, [hash_of(trained, consent_id)])
    with pytest.raises(CredenceError, match="this member"):
        proof_of(trained, consent_id)
    assert check(honest).rounds == 4


def test_before_a_withdrawal_there_is_nothing_to_prove(world, bank, consent_id):
    with pytest.raises(NotWithdrawn):
        proof_of(bank, consent_id)
    with pytest.raises(ConsentUnknown):
        proof_of(bank, "con_" + "a" * 26)


def broken(proof, name):
    if name == "another consent":
        proof["consent_hashes"] = ["ab" * 32]
    elif name == "another id":
        proof["consent_id"] = "con_" + "a" * 26
    elif name == "a round before the withdrawal":
        proof["withdrawal"], proof["rounds"][0] = proof["rounds"][0], proof["withdrawal"]
    elif name == "rounds out of order":
        proof["rounds"].reverse()
    elif name == "a round twice":
        proof["rounds"].append(proof["rounds"][-1])
    elif name == "no absence":
        proof["absences"] = {}
    elif name == "another entry's content":
        proof["rounds"][0]["payload"] = proof["rounds"][1]["payload"]
    elif name == "another cohort's absence":
        roots = list(proof["absences"])
        shown = proof["absences"]
        turned = [*list(shown.values())[1:], shown[roots[0]]]
        proof["absences"] = dict(zip(roots, turned, strict=True))
    return proof


@pytest.mark.parametrize(
    "name",
    [
        "another consent",
        "another id",
        "a round before the withdrawal",
        "rounds out of order",
        "a round twice",
        "no absence",
        "another entry's content",
        "another cohort's absence",
    ],
)
def test_a_proof_that_was_changed_does_not_hold(trained, consent_id, name):
    with pytest.raises(ReceiptInvalid):
        check(broken(proof_of(trained, consent_id), name))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"[" * 100_000, b'{"format":"x"}'])
def test_what_is_no_proof_is_refused(data):
    with pytest.raises(Malformed):
        check_training_proof(data)


def test_a_proof_signed_by_another_key_than_the_given_is_refused(trained, consent_id):
    data = json.dumps(proof_of(trained, consent_id)).encode()
    own = NoteKey("bank-a", trained.signing.verify_key)
    assert check_training_proof(data, [own]).key_given
    with pytest.raises(SignatureInvalid):
        check_training_proof(data, [NoteKey("bank-a", SigningKey.generate().verify_key)])
