"""What a person says later: signed by the key of the consent, bound to it, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.artefact import grant
from consent.authority import device_key
from consent.events import (
    ConsentEvent,
    countersign_event,
    sign_event,
    verify_event,
    verify_subject_event,
)
from consent.lifecycle import Event
from protocols.canonical import canonical_json
from protocols.errors import Malformed, SignatureInvalid
from tests.consent.samples import BANK, STRANGER, SUBJECT, artefact, bank_key, event

FIELDS = sorted(json.loads(event().body()))


@pytest.mark.parametrize("kind", [Event.WITHDRAW, Event.PAUSE, Event.RESUME])
def test_a_signed_event_verifies_at_both_ends(kind):
    said = event(kind)
    signed = sign_event(said, SUBJECT)
    assert verify_subject_event(signed) == said
    assert verify_event(countersign_event(signed, BANK), bank_key) == said


@pytest.mark.parametrize("kind", sorted(set(Event) - {Event.WITHDRAW, Event.PAUSE, Event.RESUME}))
def test_what_no_person_signs_is_no_event(kind):
    with pytest.raises(Malformed):
        ConsentEvent.parse(event(kind).body())


def test_nobody_but_the_stated_key_speaks():
    with pytest.raises(SignatureInvalid):
        verify_subject_event(sign_event(event(), STRANGER))
    with pytest.raises(SignatureInvalid):
        verify_event(countersign_event(sign_event(event(), STRANGER), BANK), bank_key)
    with pytest.raises(SignatureInvalid):
        verify_event(countersign_event(sign_event(event(), SUBJECT), STRANGER), bank_key)


def test_a_controller_cannot_speak_in_a_subjects_place():
    said = event(authority=device_key(BANK.verify_key.bytes))
    with pytest.raises(SignatureInvalid, match="in a subject's place"):
        verify_event(sign_event(said, BANK), bank_key)


def test_an_event_without_the_controllers_signature_does_not_travel():
    with pytest.raises(SignatureInvalid):
        verify_event(sign_event(event(), SUBJECT), bank_key)


def test_an_artefact_is_no_event_and_an_event_no_artefact():
    with pytest.raises(Malformed):
        verify_event(grant(artefact(), SUBJECT, BANK), bank_key)


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_required_and_no_other_is_taken(name):
    value = json.loads(event().body())
    with pytest.raises(Malformed):
        ConsentEvent.parse(canonical_json({**value, "more": 1}))
    del value[name]
    with pytest.raises(Malformed):
        ConsentEvent.parse(canonical_json(value))


@given(st.sampled_from(FIELDS), st.none() | st.integers(-9, 9) | st.text(max_size=9))
def test_whatever_stands_in_a_field_an_event_is_read_back_whole_or_refused(name, value):
    body = canonical_json({**json.loads(event().body()), name: value})
    try:
        found = ConsentEvent.parse(body)
    except Malformed:
        return
    assert found.body() == body


@given(st.binary(max_size=100))
def test_bytes_from_anywhere_are_refused_as_malformed(data):
    with pytest.raises(Malformed):
        verify_event(data, bank_key)
