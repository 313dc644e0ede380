"""What may follow what, and that an old word is not said again."""

import pytest

from consent.authority import device_key
from consent.lifecycle import ENDED, Event, State
from consent.refusals import ReleaseRefused
from consent.succession import (
    CLOCK_SKEW_MS,
    ConsentConflict,
    ConsentRollback,
    ControllerMismatch,
    EventOutdated,
    check_event,
    check_version,
)
from protocols.errors import SignatureInvalid
from tests.consent.samples import NOW_MS, STRANGER, artefact, event, held

FIRST = artefact()
SECOND = artefact(version=2, prev_hash=FIRST.consent_hash)


def test_the_next_version_replaces_the_one_in_force():
    assert check_version(SECOND, held())


def test_the_same_document_again_changes_nothing():
    assert not check_version(FIRST, held())


def test_a_gap_is_bridged_because_the_person_signed_the_newest():
    assert check_version(artefact(version=5, prev_hash=bytes(32)), held())


@pytest.mark.parametrize(
    ("offered", "in_force", "error"),
    [
        (artefact(controller="bank-b"), held(), ConsentConflict),
        (artefact(authority=device_key(STRANGER.verify_key.bytes)), held(), ConsentConflict),
        (artefact(max_uses=9), held(), ConsentConflict),
        (artefact(version=2, prev_hash=bytes(32)), held(), ConsentConflict),
        (FIRST, held(version=2, consent_hash=SECOND.consent_hash), ConsentRollback),
    ],
    ids=["controller", "subject", "same version", "fork", "rollback"],
)
def test_what_does_not_follow_is_refused(offered, in_force, error):
    with pytest.raises(error):
        check_version(offered, in_force)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_an_ended_consent_is_not_brought_back_by_any_version(state):
    for offered in (FIRST, SECOND):
        with pytest.raises(ReleaseRefused):
            check_version(offered, held(state=state))


@pytest.mark.parametrize("kind", [Event.WITHDRAW, Event.PAUSE, Event.RESUME])
def test_an_event_of_the_consents_own_subject_counts(kind):
    check_event(event(kind), held(), NOW_MS)


@pytest.mark.parametrize("kind", [Event.WITHDRAW, Event.PAUSE])
def test_an_event_under_another_key_or_node_does_not_count(kind):
    with pytest.raises(SignatureInvalid):
        check_event(event(kind, authority=device_key(STRANGER.verify_key.bytes)), held(), NOW_MS)
    with pytest.raises(ControllerMismatch):
        check_event(event(kind, controller="bank-b"), held(), NOW_MS)


@pytest.mark.parametrize(
    ("changes", "in_force", "error"),
    [
        ({"consent_hash": bytes(32)}, held(), ConsentConflict),
        ({"at_ms": 5}, held(event_at_ms=5), EventOutdated),
        ({"at_ms": 4}, held(event_at_ms=5), EventOutdated),
        ({"at_ms": NOW_MS + CLOCK_SKEW_MS + 1}, held(), EventOutdated),
    ],
    ids=["version", "replayed", "older", "future"],
)
def test_a_pause_must_be_new_and_about_the_version_in_force_a_withdrawal_need_not(
    changes, in_force, error
):
    with pytest.raises(error):
        check_event(event(Event.PAUSE, **changes), in_force, NOW_MS)
    check_event(event(Event.WITHDRAW, **changes), in_force, NOW_MS)


def test_a_paused_consent_may_be_replaced():
    assert check_version(SECOND, held(state=State.PAUSED))
