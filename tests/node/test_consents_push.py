"""The outbox: what was promised is delivered, once each, whatever happens in between."""

import pytest

from consent.delivery import Acknowledgement, acknowledge
from consent.lifecycle import Event, State
from node.consents.delivery import FIRST_RETRY_MS, MAX_PAUSE_MS, MAX_RETRY_MS, retry_after_ms
from tests.node.consent_world import ConsentWorld


@pytest.fixture
def world(tmp_path):
    made = ConsentWorld(tmp_path)
    for member in made.members.values():
        member.enrol(1, 2, 3)
    yield made
    made.close()


@pytest.fixture
def bank(world):
    return world.member("bank-a")


def test_granted_consents_reach_their_holders(world, bank):
    for number in (1, 2, 3):
        world.grant("bank-a", number, push=False)
    report = bank.consents.push_pending()
    assert (report.accepted, report.refused, report.unreachable) == (6, {}, {})
    assert world.member("payments").consents.counts() == {State.ACTIVE: 3}
    assert bank.consents.push_pending().accepted == 0


def test_one_holder_that_is_away_keeps_no_other_waiting(world, bank):
    bank.courier.cut = {"payments"}
    world.grant("bank-a", 1)
    assert bank.consents.waiting() == {"payments": 1}


def test_a_holder_that_is_away_is_left_alone_for_a_moment_that_grows(world, bank):
    bank.courier.cut = {"payments"}
    world.grant("bank-a", 1)
    tries = 0
    for _ in range(200):
        world.tick(100)
        tries += bool(bank.consents.push_pending().unreachable)
    assert 4 <= tries <= 12
    bank.courier.cut = set()
    world.tick(MAX_PAUSE_MS)
    assert bank.consents.push_pending().accepted == 1


def test_a_subject_unknown_to_the_holder_is_tried_again_later_not_at_once(world, bank):
    bank.enrol(9)
    report_id = world.grant("bank-a", 9)
    assert bank.consents.push_pending().refused == {}
    world.tick(FIRST_RETRY_MS)
    assert bank.consents.push_pending().refused == {"subject_unknown": 2}
    world.member("payments").enrol(9)
    world.tick(2 * FIRST_RETRY_MS)
    report = bank.consents.push_pending()
    assert report.accepted == 1
    assert report.refused == {"subject_unknown": 1}
    assert bank.consents.waiting() == {"public-records": 1}
    (granted,) = bank.consents.receipt(report_id)["events"]
    outcomes = {one["party_id"]: one["outcome"] for one in granted["confirmed_by"]}
    assert outcomes == {"payments": "in_effect", "public-records": "subject_unknown"}


def test_retries_grow_and_never_stop(world):
    waits = [retry_after_ms(refusals) for refusals in range(40)]
    assert waits == sorted(waits)
    assert waits[0] == FIRST_RETRY_MS
    assert waits[-1] == MAX_RETRY_MS


def test_a_final_refusal_ends_the_attempts_and_is_kept_as_evidence(world, bank):
    consent_id = world.grant("bank-a", 1, push=False, valid_days=1)
    holder = world.member("payments")
    now_ms = world.now_ms

    def far_ahead():
        return now_ms + 2 * 86_400_000

    holder.consents._inbox._clock = far_ahead
    assert bank.consents.push_pending().refused == {"consent_expired": 1}
    assert bank.consents.waiting() == {}
    (granted,) = bank.consents.receipt(consent_id)["events"]
    assert {one["outcome"] for one in granted["confirmed_by"]} == {"in_effect", "consent_expired"}


def test_a_withdrawal_goes_before_the_grants_that_wait(world, bank):
    first = world.grant("bank-a", 1)
    bank.courier.cut = {"payments", "public-records"}
    world.grant("bank-a", 2)
    bank.consents.withdraw(first, world.said("bank-a", first, 1, Event.WITHDRAW))
    seen = []
    deliver = bank.courier.deliver
    bank.courier.cut = set()

    def watched(member_id, deliveries):
        seen.append([one.kind.value for one in deliveries])
        return deliver(member_id, deliveries)

    bank.courier.deliver = watched
    world.tick(MAX_PAUSE_MS)
    bank.consents.push_pending()
    assert seen == [["event", "artefact"]] * 2


@pytest.mark.parametrize(
    "forge",
    [
        lambda answer, delivery, world: Acknowledgement(
            answer.delivery_id, "", answer.effective_at_ms, bytes(64)
        ),
        lambda answer, delivery, world: acknowledge(
            delivery, "", answer.effective_at_ms, world.member("bank-b").signing
        ),
        lambda answer, delivery, world: Acknowledgement(
            "0" * 40, "", answer.effective_at_ms, answer.signature
        ),
        lambda answer, delivery, world: acknowledge(
            delivery, "", -1, world.member("payments").signing
        ),
        lambda answer, delivery, world: acknowledge(
            delivery, "", 2**60, world.member("payments").signing
        ),
    ],
    ids=["no signature", "another member's", "another delivery's", "before 1970", "far future"],
)
def test_an_answer_that_is_not_the_partys_own_word_counts_for_nothing(world, bank, forge):
    consent_id = world.grant("bank-a", 1, push=False)
    deliver = bank.courier.deliver

    def forged(member_id, deliveries):
        for answer, delivery in zip(deliver(member_id, deliveries), deliveries, strict=True):
            yield forge(answer, delivery, world) if member_id == "payments" else answer

    bank.courier.deliver = forged
    assert set(bank.consents.push_pending().unreachable) == {"payments"}
    assert bank.consents.waiting() == {"payments": 1}
    (granted,) = bank.consents.receipt(consent_id)["events"]
    assert [one["party_id"] for one in granted["confirmed_by"]] == ["public-records"]


def test_answers_before_the_line_broke_count(world, bank):
    for number in (1, 2, 3):
        world.grant("bank-a", number, push=False, holders=["payments"])
    deliver = bank.courier.deliver

    def broken(member_id, deliveries):
        answers = deliver(member_id, deliveries)
        yield next(answers)
        yield next(answers)

    bank.courier.deliver = broken
    report = bank.consents.push_pending()
    assert report.accepted == 2
    assert set(report.unreachable) == {"payments"}
    assert bank.consents.waiting() == {"payments": 1}
