"""A holder verifies every delivery itself, refuses one by one, and acknowledges what it stored."""

from dataclasses import replace

import pytest

from consent.artefact import Recipient, countersign, grant, sign_as_subject
from consent.authority import device_key
from consent.delivery import Delivery, Kind, verify_acknowledgement
from consent.lifecycle import Event, State
from consent.templates import DAY_MS
from node.storage import consents
from protocols.pseudonyms import handle
from tests.node.consent_world import START_MS, ConsentWorld, person, subject_key


@pytest.fixture
def world(tmp_path):
    made = ConsentWorld(tmp_path)
    for member in made.members.values():
        member.enrol(1, 2, 3)
    yield made
    made.close()


@pytest.fixture
def holder(world):
    return world.member("payments")


def refusals(holder, *deliveries, peer="bank-a"):
    return [one.refusal for one in holder.consents.receive(peer, deliveries)]


def test_a_delivered_consent_is_stored_logged_and_acknowledged_under_the_holders_key(world, holder):
    delivery = world.deliverable(world.artefact("bank-a", 1), 1)
    (answer,) = holder.consents.receive("bank-a", [delivery])
    assert answer.accepted
    assert answer.effective_at_ms == START_MS
    verify_acknowledgement(answer, delivery, holder.signing.verify_key)
    (stored,) = holder.consents.of_subject(person(1))
    assert stored.terms.state is State.ACTIVE
    assert stored.artefact == delivery.data
    assert holder.leaves() == 1
    assert holder.consents.waiting() == {}


def test_the_same_delivery_again_has_one_effect_and_the_same_answer(world, holder):
    delivery = world.deliverable(world.artefact("bank-a", 1), 1)
    first = holder.consents.receive("bank-a", [delivery, delivery])
    world.tick(5000)
    again = holder.consents.receive("bank-a", [delivery])
    assert {(one.refusal, one.effective_at_ms) for one in [*first, *again]} == {("", START_MS)}
    assert holder.leaves() == 1


def test_an_unknown_subject_is_refused_and_the_rest_of_the_batch_goes_on(world, holder):
    world.member("bank-a").enrol(9)
    deliveries = [world.deliverable(world.artefact("bank-a", n), n) for n in (1, 9, 2)]
    answers = holder.consents.receive("bank-a", deliveries)
    assert [one.refusal for one in answers] == ["", "subject_unknown", ""]
    verify_acknowledgement(answers[1], deliveries[1], holder.signing.verify_key)
    assert holder.consents.counts() == {State.ACTIVE: 2}


def test_a_person_enrolled_later_is_found(world, holder):
    world.member("bank-a").enrol(9)
    delivery = world.deliverable(world.artefact("bank-a", 9), 9)
    assert refusals(holder, delivery) == ["subject_unknown"]
    holder.enrol(9)
    assert refusals(holder, delivery) == [""]


@pytest.mark.parametrize("junk", [b"", b"{}", b"\xff" * 9, b"[" * 40_000], ids=len)
@pytest.mark.parametrize("kind", Kind)
def test_junk_is_refused_as_malformed(holder, kind, junk):
    assert refusals(holder, Delivery(kind, junk)) == ["malformed"]
    assert holder.leaves() == 0


def test_only_the_consent_node_itself_delivers(world, holder):
    artefact = world.artefact("bank-a", 1)
    delivery = world.deliverable(artefact, 1)
    assert refusals(holder, delivery, peer="bank-b") == ["controller_mismatch"]
    holder.consents.receive("bank-a", [delivery])
    withdrawal = world.event_about(artefact, 1, Event.WITHDRAW)
    assert refusals(holder, withdrawal, peer="bank-b") == ["controller_mismatch"]
    assert holder.consents.counts() == {State.ACTIVE: 1}


def test_a_consent_without_the_subjects_signature_is_refused(world, holder):
    bank, other = world.member("bank-a").signing, world.member("bank-b").signing
    artefact = world.artefact("bank-a", 1)
    forged = [
        grant(artefact, subject_key(2), bank),
        grant(artefact, subject_key(1), other),
        sign_as_subject(artefact, subject_key(1)),
        countersign(grant(artefact, subject_key(1), bank), other),
    ]
    for jws in forged:
        assert refusals(holder, Delivery(Kind.ARTEFACT, jws)) == ["signature_invalid"]
    own = replace(artefact, authority=device_key(bank.verify_key.bytes))
    assert refusals(holder, Delivery(Kind.ARTEFACT, sign_as_subject(own, bank))) == [
        "signature_invalid"
    ]
    assert holder.consents.counts() == {}


def test_a_suspended_or_unknown_consent_node_is_refused(world, holder):
    delivery = world.deliverable(world.artefact("bank-a", 1), 1)
    world.publish(bank_a="suspended")
    assert refusals(holder, delivery) == ["member_not_active"]


def test_a_consent_node_that_the_directory_does_not_name_is_refused(world, holder):
    made = world.artefact("bank-b", 1)
    handles = {**made.handles, "bank-b": bytes(32)}  # bank-b, a recipient, is now another party
    unknown = replace(made, controller="bank-z", handles=handles)
    jws = grant(unknown, subject_key(1), world.member("bank-b").signing)
    assert refusals(holder, Delivery(Kind.ARTEFACT, jws), peer="bank-z") == ["unknown_member"]


def test_a_node_that_the_consent_does_not_concern_refuses_it(world):
    delivery = world.deliverable(world.artefact("bank-a", 1, holders=["payments"]), 1)
    assert refusals(world.member("public-records"), delivery) == ["not_a_party"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"max_uses": 1001}, "consent_out_of_bounds"),
        ({"data_categories": ("religion",)}, "malformed"),
        ({"data_categories": ("shoe_size",)}, "consent_out_of_bounds"),
        ({"template_id": "another"}, "template_unknown"),
        ({"valid_from_ms": START_MS - DAY_MS, "valid_until_ms": START_MS}, "consent_expired"),
        ({"handle_epoch": 2}, "handle_epoch_unusable"),
    ],
    ids=lambda one: one if isinstance(one, str) else None,
)
def test_the_holder_checks_bounds_for_itself_though_both_signed(world, holder, changes, code):
    artefact = replace(world.artefact("bank-a", 1), **changes)
    assert refusals(holder, world.deliverable(artefact, 1)) == [code]
    assert holder.leaves() == 0


def test_handles_of_an_epoch_just_over_still_work_and_of_one_long_over_do_not(world, holder):
    delivery = world.deliverable(world.artefact("bank-a", 1), 1)
    world.publish(epoch=5)
    assert refusals(holder, delivery) == [""]
    late = world.deliverable(replace(world.artefact("bank-a", 2), handle_epoch=0), 2)
    assert refusals(holder, late) == ["handle_epoch_unusable"]


def test_a_recipient_that_holds_nothing_is_told_too(world):
    other = world.member("bank-b")
    artefact = world.artefact("bank-a", 1)
    key = world.pair_key("bank-a", "bank-b")
    shared = replace(
        artefact,
        recipients=(*artefact.recipients, Recipient("bank-b", "Bank B", "")),
        handles={**artefact.handles, "bank-b": handle(key, person(1))},
    )
    assert refusals(other, world.deliverable(shared, 1)) == [""]
    with other.database.read() as connection:
        (live,) = other.consents.live_consents(connection, "score")
    assert live.consent_id == artefact.consent_id


# -- versions


@pytest.fixture
def versions(world):
    first = world.artefact("bank-a", 1)
    second = world.artefact("bank-a", 1, replaces=first, purposes=["score"])
    return first, second


def test_a_newer_version_replaces_the_one_in_force(world, holder, versions):
    first, second = versions
    assert refusals(holder, world.deliverable(first, 1), world.deliverable(second, 1)) == ["", ""]
    (stored,) = holder.consents.of_subject(person(1))
    assert stored.version == 2
    assert stored.terms.purposes == {"score"}
    hashes = [first.consent_hash, second.consent_hash]
    with holder.database.read() as connection:
        found = consents.terms_by_hash(connection, hashes)
    assert [found[one].state for one in hashes] == [State.SUPERSEDED, State.ACTIVE]


def test_a_version_is_never_rolled_back(world, holder, versions):
    first, second = versions
    holder.consents.receive("bank-a", [world.deliverable(second, 1)])
    assert refusals(holder, world.deliverable(first, 1)) == ["consent_rollback"]


def test_two_documents_of_one_version_are_a_conflict(world, holder, versions):
    first, _second = versions
    holder.consents.receive("bank-a", [world.deliverable(first, 1)])
    other = replace(first, max_uses=1)
    assert refusals(holder, world.deliverable(other, 1)) == ["consent_conflict"]


def test_a_version_by_another_subject_or_about_another_person_is_refused(world, holder, versions):
    first, second = versions
    holder.consents.receive("bank-a", [world.deliverable(first, 1)])
    stolen = replace(second, authority=device_key(subject_key(2).verify_key.bytes))
    assert refusals(holder, world.deliverable(stolen, 2)) == ["consent_conflict"]
    key = world.pair_key("bank-a", "payments")
    moved = replace(second, handles={**second.handles, "payments": handle(key, person(2))})
    assert refusals(holder, world.deliverable(moved, 1)) == ["subject_mismatch"]


def test_another_bank_cannot_take_over_a_consent_id(world, holder, versions):
    first, _second = versions
    holder.consents.receive("bank-a", [world.deliverable(first, 1)])
    squatted = replace(world.artefact("bank-b", 1), consent_id=first.consent_id)
    delivery = world.deliverable(squatted, 1)
    assert refusals(holder, delivery, peer="bank-b") == ["consent_conflict"]


# -- events


def test_a_withdrawal_takes_effect_when_it_is_acknowledged(world, holder):
    artefact = world.artefact("bank-a", 1)
    holder.consents.receive("bank-a", [world.deliverable(artefact, 1)])
    world.tick(1000)
    withdrawal = world.event_about(artefact, 1, Event.WITHDRAW)
    (answer,) = holder.consents.receive("bank-a", [withdrawal])
    assert (answer.refusal, answer.effective_at_ms) == ("", START_MS + 1000)
    verify_acknowledgement(answer, withdrawal, holder.signing.verify_key)
    assert holder.consents.counts() == {State.WITHDRAWN: 1}
    world.tick(1000)
    (again,) = holder.consents.receive("bank-a", [withdrawal])
    assert (again.refusal, again.effective_at_ms) == ("", START_MS + 1000)
    assert holder.leaves() == 2


def test_an_artefact_and_its_withdrawal_in_one_batch_end_withdrawn(world, holder):
    artefact = world.artefact("bank-a", 1)
    delivery = world.deliverable(artefact, 1)
    withdrawal = world.event_about(artefact, 1, Event.WITHDRAW)
    other = world.deliverable(world.artefact("bank-a", 2), 2)
    assert refusals(holder, delivery, withdrawal, other, delivery) == [
        "",
        "",
        "",
        "consent_withdrawn",
    ]
    assert holder.consents.counts() == {State.WITHDRAWN: 1, State.ACTIVE: 1}


def test_a_withdrawal_that_overtakes_its_consent_keeps_it_out(world, holder):
    artefact = world.artefact("bank-a", 1)
    withdrawal = world.event_about(artefact, 1, Event.WITHDRAW)
    (answer,) = holder.consents.receive("bank-a", [withdrawal])
    assert answer.accepted
    assert refusals(holder, world.deliverable(artefact, 1)) == ["consent_withdrawn"]
    world.tick(9)
    (again,) = holder.consents.receive("bank-a", [withdrawal])
    assert again.effective_at_ms == answer.effective_at_ms
    assert holder.consents.counts() == {}


def test_a_withdrawal_of_any_version_counts(world, holder):
    first = world.artefact("bank-a", 1)
    second = world.artefact("bank-a", 1, replaces=first)
    holder.consents.receive("bank-a", [world.deliverable(second, 1)])
    assert refusals(holder, world.event_about(first, 1, Event.WITHDRAW)) == [""]
    assert holder.consents.counts() == {State.WITHDRAWN: 1}


def test_pause_and_resume_change_the_state_and_are_not_replayed(world, holder):
    artefact = world.artefact("bank-a", 1)
    holder.consents.receive("bank-a", [world.deliverable(artefact, 1)])
    said = []
    for event in (Event.PAUSE, Event.RESUME, Event.PAUSE):
        world.tick(1)
        said.append(world.event_about(artefact, 1, event))
    assert refusals(holder, *said) == ["", "", ""]
    assert refusals(holder, said[1]) == ["event_outdated"]
    assert holder.consents.counts() == {State.PAUSED: 1}


@pytest.mark.parametrize(
    ("event", "changes", "code"),
    [
        (Event.RESUME, {"consent_hash": bytes(32)}, "consent_conflict"),
        (Event.PAUSE, {"consent_hash": bytes(32)}, "consent_conflict"),
        (Event.PAUSE, {"at_ms": START_MS + 3_600_000}, "event_outdated"),
        (Event.PAUSE, {"consent_id": "con_" + "z" * 26}, "consent_unknown"),
    ],
    ids=["resume", "version", "future", "unknown"],
)
def test_an_event_that_does_not_fit_is_refused(world, holder, event, changes, code):
    artefact = world.artefact("bank-a", 1)
    holder.consents.receive("bank-a", [world.deliverable(artefact, 1)])
    assert refusals(holder, world.event_about(artefact, 1, event, **changes)) == [code]
    assert holder.consents.counts() == {State.ACTIVE: 1}
    assert holder.leaves() == 1


def test_an_event_by_another_person_is_refused(world, holder):
    artefact = world.artefact("bank-a", 1)
    holder.consents.receive("bank-a", [world.deliverable(artefact, 1)])
    assert refusals(holder, world.event_about(artefact, 2, Event.WITHDRAW)) == ["signature_invalid"]


def test_no_answer_is_given_for_what_could_not_be_stored(world, holder):
    delivery = world.deliverable(world.artefact("bank-a", 1), 1)
    with holder.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE consent_event")
    with pytest.raises(Exception, match="consent_event"):
        holder.consents.receive("bank-a", [delivery])
    assert holder.consents.counts() == {}
    assert holder.leaves() == 0
