"""The consent artefact: one encoding, two signatures, and no way around either."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.artefact import (
    MAX_BODY_BYTES,
    Artefact,
    Recipient,
    countersign,
    grant,
    new_consent_id,
    sign_as_subject,
    verify_artefact,
    verify_subject,
)
from consent.authority import device_key
from protocols.canonical import canonical_json, sha256
from protocols.errors import CredenceError, Malformed, SignatureInvalid
from protocols.jws import sign_general
from tests.consent.samples import BANK, STRANGER, SUBJECT, artefact, bank_key, body_with

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(max_size=8)
    | st.sampled_from(["a" * 64, "bank-a", "con_" + "a" * 26, "score", "0.5"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = sorted(json.loads(artefact().body()))


def test_an_artefact_reads_back_from_its_body_and_is_named_by_the_hash_of_it():
    sample = artefact()
    assert Artefact.parse(sample.body()) == sample
    assert sample.consent_hash == sha256(sample.body())


def test_every_changed_term_changes_the_hash():
    assert artefact(max_uses=11).consent_hash != artefact().consent_hash


def test_a_body_in_another_spelling_is_refused():
    value = json.loads(artefact().body())
    with pytest.raises(Malformed):
        Artefact.parse(json.dumps(value).encode())


def test_a_body_larger_than_a_consent_can_be_is_refused_before_it_is_parsed():
    with pytest.raises(Malformed, match="bytes"):
        Artefact.parse(b"[" * (MAX_BODY_BYTES + 1))


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_required(name):
    with pytest.raises(Malformed):
        Artefact.parse(body_with(**{name: ...}))


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"type": "credence.consent/2"},
        {"crypto_suite": 2},
        {"crypto_suite": True},
        {"consent_id": "con_" + "A" * 26},
        {"version": 0},
        {"version": True},
        {"version": 2},
        {"prev_hash": "a" * 64},
        {"jurisdiction": "cn"},
        {"controller": "Bank A"},
        {"recipients": []},
        {"recipients": [{"member_id": "bank-a", "name": "A\nB", "contact": ""}]},
        {"recipients": [{"member_id": "bank-a", "name": "A", "contact": "", "more": 1}]},
        {"holders": ["public-records", "payments"]},
        {"holders": ["payments", "payments"]},
        {"holders": ["payments"]},
        {"handles": {"payments": "31" * 32}},
        {"handles": {"payments": "31" * 32, "public-records": "XX" * 32}},
        {"handles": {"payments": "31" * 32, "public-records": "32" * 31}},
        {"handle_epoch": -1},
        {"purposes": []},
        {"purposes": ["advertise"]},
        {"purposes": ["train", "score"]},
        {"purposes": ["score"]},
        {"training": None},
        {"training": {"epsilon": "8.0", "delta": "0.1", "unit": "subject"}},
        {"training": {"epsilon": "1e9", "delta": "0.1", "unit": "subject"}},
        {"training": {"epsilon": "8", "delta": "0.1", "unit": "record"}},
        {"data_categories": []},
        {"data_categories": ["Payment"]},
        {"valid_until_ms": 0},
        {"valid_from_ms": 2**50},
        {"valid_from_ms": 1.5},
        {"data_life_s": 0},
        {"max_uses": 0},
        {"notice": {"version": 1, "language": "English!", "sha256": "a" * 64}},
        {"adverse_notice_sha256": ""},
        {"automated_decision": 1},
        {"authority": {"method": "device_key", "key": "a" * 63}},
        {"authority": {"method": "device_key", "key": "a" * 64, "confirmed_by": "oidc"}},
        {"authority": {"method": "password"}},
        {"authority": {"method": "controller", "reason": "court_order", "actor": "desk"}},
        {"authority": {"method": "account", "confirmed_by": "password"}},
        {"authority": {"method": "branch", "officer_key": "a" * 64}},
        {"authority": {"method": "passkey", "key": "a" * 64, "attestation_sha256": "a" * 64}},
        {"grants": []},
        {"grants": [{"recipient": "bank-a", "purpose": "score", "data_categories": ["payment"]}]},
        {"data_categories": ["religion"]},
        {"data_categories": ["blood_type", "payment"]},
    ],
    ids=str,
)
def test_a_field_outside_its_grammar_is_refused_without_repeating_its_value(changes):
    with pytest.raises(Malformed) as caught:
        Artefact.parse(body_with(**changes))
    assert "31" * 32 not in caught.value.message


@settings(deadline=None)
@given(st.sampled_from(FIELDS), JSON)
def test_whatever_stands_in_a_field_an_artefact_is_read_back_whole_or_refused(name, value):
    body = body_with(**{name: value})
    try:
        found = Artefact.parse(body)
    except Malformed:
        return
    assert found.body() == body


@given(st.binary(max_size=200))
def test_bytes_from_anywhere_are_refused_as_malformed(data):
    with pytest.raises(Malformed):
        Artefact.parse(data)
    with pytest.raises(Malformed):
        verify_artefact(data, bank_key)


def test_an_artefact_with_both_signatures_verifies():
    sample = artefact()
    assert verify_artefact(grant(sample, SUBJECT, BANK), bank_key) == sample


def test_the_controller_countersigns_exactly_what_the_subject_signed():
    sample = artefact()
    signed = sign_as_subject(sample, SUBJECT)
    assert verify_subject(signed) == sample
    assert countersign(signed, BANK) == grant(sample, SUBJECT, BANK)


def test_an_institution_cannot_make_up_a_consent():
    sample = artefact()
    forged = [
        sign_general(sample.body(), [(BANK.verify_key.key_id, BANK)]),
        sign_general(
            sample.body(), [(SUBJECT.verify_key.key_id, BANK), (BANK.verify_key.key_id, BANK)]
        ),
        grant(sample, STRANGER, BANK),
        grant(replace(sample, authority=device_key(BANK.verify_key.bytes)), BANK, STRANGER),
    ]
    for jws in forged:
        with pytest.raises(SignatureInvalid):
            verify_artefact(jws, bank_key)


def test_a_controller_cannot_be_its_own_subject():
    sample = artefact(authority=device_key(BANK.verify_key.bytes))
    with pytest.raises(SignatureInvalid, match="in a subject's place"):
        verify_artefact(sign_as_subject(sample, BANK), bank_key)


def test_an_artefact_without_the_controllers_signature_does_not_travel():
    with pytest.raises(SignatureInvalid):
        verify_artefact(sign_as_subject(artefact(), SUBJECT), bank_key)


def test_a_third_signature_is_refused():
    jws = countersign(grant(artefact(), SUBJECT, BANK), STRANGER)
    with pytest.raises(SignatureInvalid):
        verify_artefact(jws, bank_key)
    with pytest.raises(SignatureInvalid):
        verify_subject(grant(artefact(), SUBJECT, BANK))


def test_signatures_do_not_carry_over_to_other_terms():
    jws = json.loads(grant(artefact(), SUBJECT, BANK))
    other = json.loads(grant(artefact(max_uses=1000), SUBJECT, BANK))
    with pytest.raises(SignatureInvalid):
        verify_artefact(canonical_json({**jws, "payload": other["payload"]}), bank_key)


def test_what_the_lookup_of_a_controller_raises_comes_through():
    class Unknown(CredenceError):
        code = "test_unknown_controller"

    def nobody(member_id):
        raise Unknown(member_id)

    with pytest.raises(Unknown):
        verify_artefact(grant(artefact(), SUBJECT, BANK), nobody)


def test_all_but_the_controller_are_parties_and_need_a_handle():
    both = artefact(
        recipients=(Recipient("bank-a", "A", ""), Recipient("bank-b", "B", "")),
        holders=("bank-a", "payments"),
        handles={"payments": bytes(32), "bank-b": bytes(32)},
    )
    assert Artefact.parse(both.body()).parties == ("bank-b", "payments")


def test_consent_ids_do_not_repeat_and_fit_their_grammar():
    ids = {new_consent_id() for _ in range(100)}
    assert len(ids) == 100
    for one in ids:
        assert Artefact.parse(artefact(consent_id=one).body()).consent_id == one
