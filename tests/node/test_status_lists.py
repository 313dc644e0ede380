"""A withdrawal bites within a minute wherever it was not heard of; nothing extends the minute."""

import os
import tracemalloc
from dataclasses import replace

import pytest

from consent.lifecycle import Event, State
from consent.status_list import (
    LIFE_MS,
    MAX_COMPRESSED_BYTES,
    StatusHead,
    StatusListConflict,
    StatusListOutdated,
    StatusListRollback,
    compress,
    sign_head,
)
from node.consents.service import SignedGrant
from node.consents.status_inbox import Question
from node.consents.status_publisher import StatusAnswer
from node.storage import statuses
from protocols.canonical import sha256
from protocols.errors import CredenceError, Malformed, SignatureInvalid
from protocols.jws import unverified_payload
from protocols.keys import SigningKey
from tests.node.consent_world import person
from tests.node.status_world import StatusWorld

STALE = "status_stale"
WITHDRAWN = "consent_withdrawn"


@pytest.fixture
def world(tmp_path):
    opened = StatusWorld(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def consent_id(world):
    return world.grant("bank-a", 1, holders=["bank-b", "payments"])


def ask(world, member_id, controller):
    """A question as a member's keeper would send it now."""
    parts = world.parts[member_id]
    with parts.member.database.read() as connection:
        proof = statuses.proofs(connection, [controller]).get(controller)
    have = proof.bits_sha256 if proof else b""
    return Question(
        controller, os.urandom(16), have, world.clock(member_id), world.instant(member_id)
    )


def forge(world, question, key=None, **changes):
    """An answer of bank-a's with another head, signed by `key`."""
    answer = world.parts["bank-a"].publisher.answer(question.nonce, b"")
    head = StatusHead.parse(unverified_payload(answer.head, max_bytes=4096))
    signer = key or world.world.member("bank-a").signing
    return StatusAnswer(sign_head(replace(head, **changes), signer), answer.bits)


# -- the minute


def test_a_consent_just_delivered_waits_for_a_list_that_speaks_of_it(world):
    consent_id = world.world.grant("bank-a", 1, holders=["payments"])
    assert world.refusal("payments", consent_id) == STALE
    world.parts["payments"].keeper.poke("bank-a")
    world.step()
    assert world.refusal("payments", consent_id) == ""


def test_the_consent_node_itself_needs_no_proof(world):
    consent_id = world.grant("bank-a", 1, holders=["bank-a", "payments"])
    world.tick(10 * LIFE_MS)
    assert world.refusal("bank-a", consent_id) == ""
    assert world.refusal("payments", consent_id) == STALE


def test_a_holder_parted_from_everyone_refuses_within_sixty_seconds(world, consent_id):
    world.tick(5_000)
    world.step()  # the newest list it can have: of this moment
    assert world.refusal("payments", consent_id) == ""
    world.cut("payments")
    world.say("bank-a", consent_id, 1, Event.WITHDRAW)
    refused_after_ms = None
    for _ in range(600):
        world.tick(100)
        world.step()
        if refused_after_ms is None and world.refusal("payments", consent_id):
            refused_after_ms = world.world.now_ms
    withdrawn_at_ms = world.world.member("bank-a").consents.get(consent_id).event_at_ms
    assert refused_after_ms is not None
    assert refused_after_ms - withdrawn_at_ms <= 60_000
    assert world.refusal("payments", consent_id) == STALE
    assert world.refusal("bank-b", consent_id) == WITHDRAWN  # it was told


def test_a_recipients_own_use_ends_with_its_proof_too(world):
    consent_id = world.grant("bank-a", 1, holders=["payments"])
    own = {"holder": None, "requester": "bank-a"}
    assert world.refusal("payments", consent_id, **own) == ""
    world.cut("payments")
    world.tick(LIFE_MS)
    assert world.refusal("payments", consent_id, **own) == STALE


def test_lists_are_renewed_long_before_they_run_out(world, consent_id):
    source = world.parts["payments"].source
    for _ in range(40):
        world.tick(5_000)
        world.step()
        assert world.refusal("payments", consent_id) == ""
    assert source.asked <= 2 + 200_000 // 15_000


def test_when_the_line_is_back_the_holder_serves_again_at_once(world, consent_id):
    world.cut("payments")
    world.tick(2 * LIFE_MS)
    world.step()
    assert world.refusal("payments", consent_id) == STALE
    world.cut("payments", off=False)
    world.tick(5_000)
    world.parts["payments"].keeper.ensure("bank-a")
    assert world.refusal("payments", consent_id) == ""


def test_a_request_that_meets_a_stale_list_has_it_refreshed_and_no_other(world, consent_id):
    parts = world.parts["payments"]
    asked = parts.source.asked
    for _ in range(5):
        parts.keeper.ensure("bank-a")
        parts.keeper.ensure("stranger")
    assert parts.source.asked == asked
    world.tick(LIFE_MS)
    assert world.refusal("payments", consent_id) == STALE
    parts.keeper.ensure("bank-a")
    assert world.refusal("payments", consent_id) == ""
    assert parts.source.asked == asked + 1


def test_requests_to_a_parted_holder_do_not_each_wait_for_the_controller(world, consent_id):
    parts = world.parts["payments"]
    world.cut("payments")
    world.tick(LIFE_MS)
    asked = parts.source.asked
    for _ in range(50):
        parts.keeper.ensure("bank-a")
    assert parts.source.asked == asked + 1


# -- clocks


@pytest.mark.parametrize("ahead_ms", [-3_600_000, -59_000, -1])
def test_a_clock_that_is_set_back_extends_nothing(world, consent_id, ahead_ms):
    world.tick(7_200_000)
    world.step()
    assert world.refusal("payments", consent_id) == ""
    world.cut("payments")
    world.set_clock("payments", ahead_ms)
    world.tick(LIFE_MS - 1_000)
    assert world.refusal("payments", consent_id) == STALE


def test_a_clock_that_is_set_forward_shortens(world, consent_id):
    world.cut("payments")
    world.set_clock("payments", LIFE_MS)
    assert world.refusal("payments", consent_id) == STALE


@pytest.mark.parametrize("ahead_ms", [-50_000, 50_000])
def test_a_controller_whose_clock_is_off_extends_nothing(world, ahead_ms):
    world.set_clock("bank-a", ahead_ms)
    consent_id = world.grant("bank-a", 1, holders=["payments"])
    assert world.refusal("payments", consent_id) == ""
    world.cut("payments")
    world.tick(LIFE_MS - 1_000)
    assert world.refusal("payments", consent_id) == STALE


def test_a_controller_whose_clock_is_far_off_proves_nothing(world, consent_id):
    world.set_clock("bank-a", 3 * LIFE_MS)
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    with pytest.raises(StatusListOutdated):
        world.parts["payments"].inbox.accept(question, *answer)


def test_an_answer_that_was_long_under_way_counts_from_the_question(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    world.tick(LIFE_MS - 2_000)
    world.parts["payments"].inbox.accept(question, *answer)
    assert world.refusal("payments", consent_id) == ""
    world.tick(1_000)
    assert world.refusal("payments", consent_id) == STALE


# -- restarts


def test_a_process_that_begins_again_goes_on_with_a_list_that_is_still_fresh(world, consent_id):
    world.cut("payments")
    world.tick(30_000)
    world.restart("payments")
    assert world.refusal("payments", consent_id) == ""
    world.tick(29_000)
    assert world.refusal("payments", consent_id) == STALE


def test_a_machine_that_begins_again_carries_nothing_over(world, consent_id):
    world.cut("payments")
    world.restart("payments", machine=True)
    assert world.refusal("payments", consent_id) == STALE


def test_a_consent_node_that_begins_again_goes_on_with_its_versions(world, consent_id):
    world.restart("bank-a", machine=True)
    world.tick(25_000)
    world.step()
    world.tick(40_000)
    assert world.refusal("payments", consent_id) == ""


# -- missed pushes


def test_a_push_that_was_missed_is_noticed_and_the_signed_event_fetched(world, consent_id):
    courier = world.world.member("bank-a").courier
    courier.cut.add("payments")  # the push is lost; the holder can still ask
    world.say("bank-a", consent_id, 1, Event.WITHDRAW)
    holder = world.world.member("payments").consents
    assert holder.get(consent_id).terms.state is State.ACTIVE
    world.tick(25_000)
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    told = world.parts["payments"].inbox.accept(question, *answer)
    assert len(told) == 1
    assert holder.get(consent_id).terms.state is State.ACTIVE
    assert world.refusal("payments", consent_id) == STALE  # at once, before the event is here
    world.step()
    assert holder.get(consent_id).terms.state is State.WITHDRAWN
    assert world.refusal("payments", consent_id) == WITHDRAWN


@pytest.mark.parametrize("event", [Event.PAUSE, Event.WITHDRAW])
def test_pause_and_withdrawal_are_both_noticed(world, consent_id, event):
    world.world.member("bank-a").courier.cut.add("payments")
    world.say("bank-a", consent_id, 1, event)
    world.tick(25_000)
    world.step()
    world.tick(1_000)
    world.step()
    assert world.refusal("payments", consent_id) in {"consent_paused", WITHDRAWN}


def test_a_resumption_that_was_missed_is_noticed_too(world, consent_id):
    world.say("bank-a", consent_id, 1, Event.PAUSE)
    world.tick(25_000)
    world.step()
    assert world.refusal("payments", consent_id) == "consent_paused"
    world.world.member("bank-a").courier.cut.add("payments")
    world.tick(1)
    world.say("bank-a", consent_id, 1, Event.RESUME)
    for _ in range(4):
        world.tick(25_000)
        world.step()
    assert world.refusal("payments", consent_id) == ""


def test_a_consent_resumed_by_push_is_served_when_the_next_list_says_so_too(world, consent_id):
    world.say("bank-a", consent_id, 1, Event.PAUSE)
    world.tick(25_000)
    world.step()
    world.tick(1)
    world.say("bank-a", consent_id, 1, Event.RESUME)
    assert world.refusal("payments", consent_id) == STALE
    world.parts["payments"].keeper.poke("bank-a")
    world.step()
    assert world.refusal("payments", consent_id) == ""


def test_a_holder_that_missed_a_narrower_version_stops_on_the_wider_one(world, consent_id):
    bank = world.world.member("bank-a")
    bank.courier.cut.add("payments")
    old = world.world.artefact_of("bank-a", consent_id)
    narrower = world.world.artefact(
        "bank-a", 1, replaces=old, holders=["bank-b", "payments"], purposes=("train",)
    )
    bank.consents.record_many([replace_grant(world, narrower)])
    assert world.refusal("payments", consent_id) == ""
    for _ in range(3):
        world.tick(25_000)
        world.step()
    assert world.world.artefact_of("payments", consent_id).version == 2
    assert world.refusal("payments", consent_id) == "purpose_not_granted"


def replace_grant(world, artefact):
    return SignedGrant(person(1), world.world.sign(artefact, 1))


def test_what_was_missed_is_given_to_parties_only(world, consent_id):
    consent_hash = world.world.member("bank-a").consents.get(consent_id).terms.consent_hash
    world.say("bank-a", consent_id, 1, Event.WITHDRAW)
    publisher = world.parts["bank-a"].publisher
    assert len(publisher.missed("payments", [consent_hash])) == 1
    assert publisher.missed("public-records", [consent_hash]) == []
    assert world.parts["bank-b"].publisher.missed("payments", [consent_hash]) == []
    assert publisher.missed("payments", [bytes(32)]) == []


def test_of_many_consents_the_withdrawn_ones_alone_stop(world):
    ids = [world.grant("bank-a", number, holders=["payments"]) for number in range(1, 13)]
    world.world.member("bank-a").courier.cut.add("payments")
    for number in (2, 7, 12):
        world.tick(1)
        world.say("bank-a", ids[number - 1], number, Event.WITHDRAW)
    world.tick(25_000)
    world.step()
    refused = [n for n, one in enumerate(ids, 1) if world.refusal("payments", one)]
    assert refused == [2, 7, 12]


def test_lists_of_two_controllers_are_apart(world):
    ours = world.grant("bank-a", 1, holders=["payments"])
    theirs = world.grant("bank-b", 2, holders=["payments"])
    world.cut("bank-b")
    world.tick(LIFE_MS)
    world.step("payments")
    as_b = {"requester": "bank-b"}
    assert world.refusal("payments", ours) == ""
    assert world.refusal("payments", theirs, **as_b) in {"", STALE}
    world.parts["payments"].source.cut = True
    world.tick(LIFE_MS)
    assert world.refusal("payments", theirs, **as_b) == STALE


# -- bad lists


def accept(world, question, answer):
    return world.parts["payments"].inbox.accept(question, answer.head, answer.bits)


def test_a_forged_list_is_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = forge(world, question, key=SigningKey.generate())
    with pytest.raises(SignatureInvalid):
        accept(world, question, answer)


def test_a_list_of_another_controller_is_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    other = world.parts["bank-b"].publisher.answer(question.nonce, b"")
    with pytest.raises(SignatureInvalid):
        accept(world, question, other)
    impostor = forge(world, question, key=world.world.member("bank-b").signing)
    with pytest.raises(SignatureInvalid):
        accept(world, question, impostor)


def test_a_list_that_answers_another_question_is_refused(world, consent_id):
    first, second = (ask(world, "payments", "bank-a") for _ in range(2))
    kept = world.parts["bank-a"].publisher.answer(first.nonce, b"")
    with pytest.raises(StatusListOutdated):
        accept(world, second, kept)


def test_a_list_that_lives_longer_than_a_minute_is_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    long = forge(world, question, expires_at_ms=world.clock("bank-a") + LIFE_MS + 1)
    with pytest.raises(StatusListOutdated):
        accept(world, question, long)


def test_a_list_that_was_rolled_back_is_refused_and_the_proof_runs_out(world, consent_id):
    question = ask(world, "payments", "bank-a")
    older = forge(world, question, version=0)
    with pytest.raises(StatusListRollback):
        accept(world, question, older)
    fewer = forge(world, question, version=2**40, entries=0, bits_sha256=sha256(b""))
    with pytest.raises(StatusListRollback):
        accept(world, question, StatusAnswer(fewer.head, compress(b"")))
    world.cut("payments")
    world.tick(LIFE_MS)
    assert world.refusal("payments", consent_id) == STALE


def test_two_lists_of_one_version_are_a_conflict(world, consent_id):
    question = ask(world, "payments", "bank-a")
    bits = b"\x01"
    other = forge(world, question, bits_sha256=sha256(bits))
    with pytest.raises(StatusListConflict):
        accept(world, question, StatusAnswer(other.head, compress(bits)))


def test_bits_that_were_changed_on_the_way_are_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, b"")
    with pytest.raises(SignatureInvalid):
        accept(world, question, StatusAnswer(answer.head, compress(b"\x02")))
    with pytest.raises(Malformed):
        accept(world, question, StatusAnswer(answer.head, answer.bits[:-1]))
    with pytest.raises(Malformed):
        accept(world, question, StatusAnswer(answer.head, answer.bits + b"x"))


def test_a_decompression_bomb_is_refused_without_being_unpacked(world, consent_id):
    question = ask(world, "payments", "bank-a")
    bomb = compress(bytes(200 * 1024 * 1024))
    assert len(bomb) < MAX_COMPRESSED_BYTES
    answer = world.parts["bank-a"].publisher.answer(question.nonce, b"")
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            accept(world, question, StatusAnswer(answer.head, bomb))
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_an_oversized_list_is_refused(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, b"")
    with pytest.raises(Malformed):
        accept(world, question, StatusAnswer(answer.head, bytes(MAX_COMPRESSED_BYTES + 1)))
    with pytest.raises(Malformed):
        accept(world, question, StatusAnswer(answer.head + b" " * 4096, answer.bits))
    with pytest.raises(Malformed):
        accept(world, question, forge(world, question, entries=2**23 + 1))


def test_a_list_without_its_bits_is_refused_unless_they_are_held(world, consent_id):
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    assert answer.bits == b""
    assert accept(world, question, answer) == []
    fresh = ask(world, "bank-b", "payments")
    bare = world.parts["payments"].publisher.answer(fresh.nonce, b"")
    with pytest.raises(Malformed):
        world.parts["bank-b"].inbox.accept(fresh, bare.head, b"")


def test_a_bad_list_leaves_what_was_proven_before(world, consent_id):
    question = ask(world, "payments", "bank-a")
    with pytest.raises(CredenceError):
        accept(world, question, forge(world, question, key=SigningKey.generate()))
    assert world.refusal("payments", consent_id) == ""


def test_a_revoked_controllers_list_proves_nothing(world, consent_id):
    world.world.publish(bank_a="revoked")
    question = ask(world, "payments", "bank-a")
    answer = world.parts["bank-a"].publisher.answer(question.nonce, question.have_sha256)
    with pytest.raises(CredenceError, match="bank-a"):
        accept(world, question, answer)


# -- indices


def test_a_delivery_with_an_index_that_another_consent_has_is_refused(world, consent_id):
    artefact = world.world.artefact("bank-a", 2, holders=["payments"])
    delivery = replace(world.world.deliverable(artefact, 2), status_index=0)
    holder = world.world.member("payments").consents
    (answer,) = holder.receive("bank-a", [delivery])
    assert answer.refusal == "consent_conflict"


def test_a_consent_without_an_index_is_kept_and_never_served(world, consent_id):
    artefact = world.world.artefact("bank-a", 2, holders=["payments"])
    (answer,) = world.world.member("payments").consents.receive(
        "bank-a", [world.world.deliverable(artefact, 2)]
    )
    assert answer.accepted
    world.tick(25_000)
    world.step()
    assert world.refusal("payments", artefact.consent_id) == STALE
    assert world.refusal("payments", consent_id) == ""


def test_every_version_has_an_index_of_its_own(world, consent_id):
    for number in range(2, 6):
        world.grant("bank-a", number, holders=["payments"])
    old = world.world.artefact_of("bank-a", consent_id)
    newer = world.world.artefact("bank-a", 1, replaces=old, holders=["payments"])
    bank = world.world.member("bank-a")
    bank.consents.record_many([replace_grant(world, newer)])
    with bank.database.read() as connection:
        changes = statuses.changes(connection, "bank-a", -1)
    assert sorted(one.status_index for one in changes) == [0, 1, 2, 3, 4, 5]
    assert [one.status_index for one in changes if one.status == 1] == [0]
