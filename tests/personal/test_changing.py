"""What a person granted they change, pause and withdraw; what they are asked for, they answer."""

import json
from dataclasses import replace

import pytest

from consent.attestation import AttestationInvalid
from consent.delivery import Delivery, Kind
from consent.events import sign_event
from consent.lifecycle import Event, State, TransitionInvalid
from consent.refusals import ConsentNotActive, ConsentUnknown
from consent.succession import ConsentConflict, ConsentRollback
from consent.templates import DAY_MS
from node.consents.personal import GrantChoice, PasskeyProof, PasskeySigner
from node.consents.requests import MAX_WAITING, TooManyRequests
from node.consents.service import OfferTerms
from node.storage import consents
from node.storage.subjects import UnknownSubject
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from tests.node.consent_world import person
from tests.passkey_device import es256
from tests.personal.signing import (
    APP,
    DEVICE,
    OFFICER,
    SCORE,
    SIGNER,
    by_account,
    by_passkey,
    held,
    held_state,
)


def test_a_change_is_a_new_version_that_the_same_passkey_signs(world, bank, mine):
    """It supersedes, names the version before, and the old one is refused everywhere."""
    consent_id = by_passkey(mine)
    first = mine.artefact(person(1), consent_id)
    wider = GrantChoice(OfferTerms(purposes=("score", "train")), changes=consent_id)
    world.tick(1)
    assert by_passkey(mine, choice=wider) == consent_id
    bank.consents.push_pending()
    for name in ("bank-a", "payments"):
        member = world.member(name)
        assert member.consents.get(consent_id).version == 2
        with member.database.read() as connection:
            found = consents.terms_by_hash(connection, [first.consent_hash])
        if name == "bank-a":
            assert found[first.consent_hash].state is State.SUPERSEDED
    assert mine.artefact(person(1), consent_id).prev_hash == first.consent_hash


def test_a_change_without_the_key_that_granted_is_refused(bank, mine):
    """An account's confirmation, or another passkey, does not widen what a passkey granted."""
    consent_id = by_passkey(mine)
    wider = GrantChoice(OfferTerms(purposes=("score", "train")), changes=consent_id)
    with pytest.raises(ConsentConflict):
        by_account(mine, choice=wider)
    other = replace(DEVICE, key=es256())
    ready = mine.prepare(person(1), wider, PasskeySigner(other.public_key))
    with pytest.raises(ConsentConflict):
        mine.grant(person(1), ready.body, PasskeyProof(other.get(ready.challenge)))
    assert bank.consents.get(consent_id).version == 1


def test_two_changes_of_one_version_do_not_both_stand(world, mine):
    """The second was prepared from a version that is not in force any more."""
    consent_id = by_account(mine)
    change = GrantChoice(OfferTerms(purposes=("monitor",)), changes=consent_id)
    world.tick(1)
    one, two = (mine.prepare(person(1), change, APP) for _ in range(2))
    world.tick(1)
    two = mine.prepare(person(1), replace(change, terms=SCORE), APP)
    mine.grant(person(1), one.body, APP)
    with pytest.raises((ConsentConflict, ConsentRollback)):
        mine.grant(person(1), two.body, APP)


def test_any_consent_is_withdrawn_in_the_session_and_the_holder_knows(world, bank, mine):
    """Whatever key granted it: stopping is never harder than granting."""
    for consent_id in (by_passkey(mine), by_account(mine)):
        bank.consents.push_pending()
        changed = mine.withdraw(person(1), consent_id, APP)
        assert changed.state is State.WITHDRAWN
        assert list(changed.confirmed) == ["payments"]
        assert held(world, "payments", consent_id) is State.WITHDRAWN
        assert mine.withdraw(person(1), consent_id, APP).state is State.WITHDRAWN


def test_what_a_passkey_granted_is_paused_in_the_session_and_resumed_by_the_passkey(world, mine):
    """Pausing twice is no error; going on takes the key."""
    consent_id = by_passkey(mine)
    for _ in range(2):
        world.tick(1)
        assert mine.pause(person(1), consent_id, APP).state is State.PAUSED
    world.tick(1)
    with pytest.raises(SignatureInvalid):
        mine.resume(person(1), consent_id, APP)
    ready = mine.prepare_event(person(1), consent_id, Event.RESUME)
    proof = PasskeyProof(DEVICE.get(ready.challenge))
    assert mine.apply(person(1), ready.body, proof).state is State.ACTIVE
    assert held(world, "payments", consent_id) is State.ACTIVE
    world.tick(1)
    mine.pause(person(1), consent_id, APP)
    with pytest.raises(CredenceError):
        mine.apply(person(1), ready.body, proof)
    assert held(world, "payments", consent_id) is State.PAUSED


def test_what_the_account_granted_is_resumed_in_it(world, mine):
    """The same authority that granted."""
    consent_id = by_account(mine)
    world.tick(1)
    mine.pause(person(1), consent_id, APP)
    world.tick(1)
    assert mine.resume(person(1), consent_id, APP).state is State.ACTIVE


def test_somebody_elses_consent_is_as_if_it_did_not_exist(bank, mine):
    """Not to read, to change, to stop or to go on with."""
    consent_id = by_passkey(mine, number=2)
    calls = [
        lambda: mine.withdraw(person(1), consent_id, APP),
        lambda: mine.pause(person(1), consent_id, APP),
        lambda: mine.resume(person(1), consent_id, APP),
        lambda: mine.artefact(person(1), consent_id),
        lambda: mine.refuse(person(1), consent_id),
        lambda: mine.prepare_event(person(1), consent_id, Event.RESUME),
        lambda: mine.prepare(person(1), GrantChoice(SCORE, changes=consent_id), APP),
        lambda: mine.prepare(person(1), GrantChoice(SCORE, request=consent_id), APP),
    ]
    for call in calls:
        with pytest.raises(ConsentUnknown):
            call()
    assert mine.of_person(person(1)) == []
    assert held_state(bank, consent_id) is State.ACTIVE


def test_a_consent_declared_invalid_ends_everywhere_with_reason_and_actor(world, bank, mine):
    """Also where the declaration overtakes the consent; declaring twice is no error."""
    first, second = by_passkey(mine), by_passkey(mine)
    early = bank.consents.get(second).artefact
    bank.consents.tell(first)
    for consent_id in (first, second):
        changed = bank.consents.invalidate(consent_id, "identity_error", "privacy-officer")
        assert changed.state is State.INVALIDATED
        assert list(changed.confirmed) == ["payments"]
    assert held(world, "payments", first) is State.INVALIDATED
    late = world.member("payments").consents.receive("bank-a", [Delivery(Kind.ARTEFACT, early)])
    assert [one.refusal for one in late] == ["consent_withdrawn"]
    assert bank.consents.invalidate(first, "court_order", "desk").state is State.INVALIDATED
    *_, last = bank.consents.receipt(first)["events"]
    assert (last["event"], last["actor"]) == ("invalidate", "privacy-officer")
    with pytest.raises(CredenceError):
        bank.consents.invalidate(first, "no reason", "desk")


def test_the_node_does_not_speak_where_a_key_has_to(bank, mine):
    """A device key's or a passkey's word is not the node's to sign."""
    consent_id = by_passkey(mine)
    with pytest.raises(SignatureInvalid):
        bank.consents.say(bank.consents.event(consent_id, Event.WITHDRAW))
    with pytest.raises(CredenceError):
        bank.consents.apply(
            consent_id, sign_event_by(bank.consents.event(consent_id, Event.WITHDRAW))
        )


def sign_event_by(event):
    from consent.authority import device_key

    return sign_event(replace(event, authority=device_key(OFFICER.verify_key.bytes)), OFFICER)


def test_what_is_known_of_the_person_changed_between_reading_and_signing(world, bank, mine):
    """The attestation would be another than the one signed: the person reads it again."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), SIGNER)
    value = json.loads(ready.body)
    value["authority"]["attestation_sha256"] = "0" * 64
    from protocols.canonical import canonical_json

    body = canonical_json(value)
    with pytest.raises((ConsentConflict, AttestationInvalid)):
        mine.grant(person(1), body, PasskeyProof(DEVICE.get(b"c" * 32)))


def ask(bank, number=1, **changes):
    terms = {"requested_by": "desk", "message": "For your loan", "days": 14, **changes}
    return bank.consents.ask(person(number), SCORE, **terms)


def test_what_is_asked_for_waits_is_granted_in_the_same_consent_and_is_then_like_any_other(
    world, bank, mine
):
    """The person sees it, nothing is released on it, and their grant puts it in force."""
    asked = ask(bank)
    (waiting,) = bank.consents.requests.waiting(person(1))
    assert (waiting.consent_id, waiting.message) == (asked.consent_id, "For your loan")
    assert held_state(bank, asked.consent_id) is State.REQUESTED
    assert mine.artefact(person(1), asked.consent_id).is_request
    assert bank.consents.waiting() == {}
    choice = GrantChoice(OfferTerms(purposes=("score",)), request=asked.consent_id)
    assert by_passkey(mine, choice=choice) == asked.consent_id
    bank.consents.push_pending()
    assert held(world, "payments", asked.consent_id) is State.ACTIVE
    events = [one["event"] for one in bank.consents.receipt(asked.consent_id)["events"]]
    assert events == ["request", "grant"]
    assert bank.consents.requests.waiting(person(1)) == []


def test_what_is_asked_for_may_be_refused_or_lapses_and_is_then_not_granted(world, bank, mine):
    """Nobody else hears of it, refusing twice is no error, and a lapse is by the clock."""
    refused, lapsed = ask(bank), ask(bank, days=1)
    assert mine.refuse(person(1), refused.consent_id) is State.REFUSED
    assert mine.refuse(person(1), refused.consent_id) is State.REFUSED
    ready = mine.prepare(person(1), GrantChoice(SCORE, request=lapsed.consent_id), APP)
    world.tick(DAY_MS)
    with pytest.raises(CredenceError):
        mine.grant(person(1), ready.body, APP)
    fresh = mine.prepare(person(1), GrantChoice(SCORE, request=lapsed.consent_id), APP)
    with pytest.raises(ConsentNotActive):
        mine.grant(person(1), fresh.body, APP)
    assert bank.consents.expire_due() == 1
    assert held_state(bank, lapsed.consent_id) is State.LAPSED
    with pytest.raises(ConsentConflict):
        mine.prepare(person(1), GrantChoice(SCORE, request=refused.consent_id), APP)
    with pytest.raises(TransitionInvalid):
        mine.refuse(person(1), lapsed.consent_id)
    with pytest.raises(TransitionInvalid):
        mine.withdraw(person(1), lapsed.consent_id, APP)
    assert bank.consents.waiting() == {}


def test_nobody_is_worn_down_with_questions(bank):
    """Only so many wait for one person, with a bounded message, within the template."""
    for _ in range(MAX_WAITING):
        ask(bank)
    with pytest.raises(TooManyRequests):
        ask(bank)
    ask(bank, number=2)
    for changes in ({"days": 0}, {"days": 91}, {"message": "x" * 501}, {"message": "a\nb"}):
        with pytest.raises(InvalidInput):
            ask(bank, number=2, **changes)
    with pytest.raises(UnknownSubject):
        ask(bank, number=9)
    with pytest.raises(Malformed):
        ask(bank, number=2, requested_by="The Desk!")
