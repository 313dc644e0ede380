"""Acknowledgements are evidence for one document, one outcome and one moment."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.delivery import Delivery, Kind, acknowledge, verify_acknowledgement
from protocols.errors import SignatureInvalid
from tests.consent.samples import BANK, NOW_MS, STRANGER

DELIVERY = Delivery(Kind.ARTEFACT, b"a consent")


def test_an_acknowledgement_verifies_for_what_was_delivered():
    answer = acknowledge(DELIVERY, "", NOW_MS, BANK)
    verify_acknowledgement(answer, DELIVERY, BANK.verify_key)
    assert answer.accepted
    assert answer.delivery_id == DELIVERY.delivery_id
    assert len(answer.delivery_id) <= 40


def test_a_refusal_is_signed_too():
    answer = acknowledge(DELIVERY, "subject_unknown", NOW_MS, BANK)
    assert not answer.accepted
    with pytest.raises(SignatureInvalid):
        verify_acknowledgement(replace(answer, refusal=""), DELIVERY, BANK.verify_key)


@pytest.mark.parametrize("change", [{"effective_at_ms": 0}, {"refusal": "x"}], ids=str)
def test_it_carries_over_to_no_other_outcome_or_moment(change):
    answer = replace(acknowledge(DELIVERY, "", NOW_MS, BANK), **change)
    with pytest.raises(SignatureInvalid):
        verify_acknowledgement(answer, DELIVERY, BANK.verify_key)


def test_it_carries_over_to_no_other_document_or_signer():
    answer = acknowledge(DELIVERY, "", NOW_MS, BANK)
    with pytest.raises(SignatureInvalid):
        verify_acknowledgement(answer, Delivery(Kind.ARTEFACT, b"b"), BANK.verify_key)
    with pytest.raises(SignatureInvalid):
        verify_acknowledgement(answer, DELIVERY, STRANGER.verify_key)


@given(st.integers(-(2**63), 2**63 - 1), st.text(max_size=40))
def test_any_time_that_the_wire_can_carry_has_one_signature(at_ms, refusal):
    answer = acknowledge(DELIVERY, refusal, at_ms, BANK)
    verify_acknowledgement(answer, DELIVERY, BANK.verify_key)
