"""Rotations and replaced keys: read back exactly, or refused with our own error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.announcement import VERSION_KEY, version_in
from protocols.canonical import canonical_json, sha256
from protocols.errors import CredenceError, InvalidInput, Malformed
from protocols.keys import SealingKey, SigningKey
from protocols.member_keys import EarlierCertificate, EarlierKeys
from protocols.rotation import MAX_OVERLAP_S, Rotation, sign_rotation, verify_rotation

OLD, NEW = SigningKey.from_seed(b"\x01" * 32), SigningKey.from_seed(b"\x02" * 32)
SEALING = SealingKey.from_bytes(b"\x03" * 32)
CSR = b"a signing request"
NOW = 1_750_000_000_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


def rotation(**changes):
    values = {
        "member_id": "bank-a",
        "old_signing_key": OLD.verify_key.bytes,
        "signing_key": NEW.verify_key.bytes,
        "sealing_key": SEALING.public,
        "csr_sha256": sha256(CSR),
        "overlap_s": 3600,
        "issued_at_ms": NOW,
    }
    return Rotation(**(values | changes))


def verified(body, by_old, by_new):
    return verify_rotation(
        body, CSR, by_old, by_new,
        member_id="bank-a", current_key=OLD.verify_key.bytes, now_ms=NOW,
    )  # fmt: skip


def test_a_rotation_signed_by_both_keys_verifies():
    body = rotation().to_body()
    assert verified(body, *sign_rotation(body, OLD, NEW)) == rotation()


def test_a_changed_byte_anywhere_is_noticed():
    body = rotation().to_body()
    by_old, by_new = sign_rotation(body, OLD, NEW)
    for at in range(len(body)):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        with pytest.raises(CredenceError):
            verified(changed, by_old, by_new)


def test_the_two_signatures_do_not_stand_for_each_other():
    body = rotation().to_body()
    by_old, by_new = sign_rotation(body, OLD, NEW)
    with pytest.raises(CredenceError):
        verified(body, by_new, by_old)


@pytest.mark.parametrize(
    "change",
    [
        {"member_id": "Bank"},
        {"signing_key": bytes(31)},
        {"csr_sha256": b""},
        {"overlap_s": -1},
        {"overlap_s": MAX_OVERLAP_S + 1},
        {"issued_at_ms": -1},
    ],
    ids=str,
)
def test_a_rotation_with_a_field_of_the_wrong_form_is_not_made(change):
    with pytest.raises(InvalidInput):
        rotation(**change)


@given(JSON, st.sampled_from(sorted(json.loads(rotation().to_body()))))
def test_a_rotation_with_any_field_replaced_means_what_it_says_or_is_refused(value, name):
    body = canonical_json({**json.loads(rotation().to_body()), name: value})
    try:
        read = Rotation.from_body(body)
    except CredenceError:
        return
    assert read.to_body() == body


@given(st.binary(max_size=200), st.binary(max_size=70), st.binary(max_size=70))
def test_random_bytes_are_no_rotation(body, by_old, by_new):
    with pytest.raises(CredenceError):
        verified(body, by_old, by_new)


@given(JSON)
def test_what_is_no_replaced_key_or_certificate_is_refused(value):
    for read in (EarlierKeys.from_json, EarlierCertificate.from_json):
        with pytest.raises(Malformed):
            read(value)


def test_replaced_keys_are_read_back_as_they_were_written():
    keys = EarlierKeys(OLD.verify_key.bytes, SEALING.public, 5, 7)
    assert EarlierKeys.from_json(keys.to_json()) == keys
    certificate = EarlierCertificate(bytes(32), 7)
    assert EarlierCertificate.from_json(certificate.to_json()) == certificate
    for wrong in ({"rotated_at_ms": 9}, {"until_ms": 4}, {"rotated_at_ms": -1}):
        with pytest.raises(InvalidInput):
            EarlierKeys.from_json({**keys.to_json(), **wrong})


@given(st.text(max_size=20) | st.binary(max_size=20))
def test_an_announced_version_is_a_small_whole_number_or_none(value):
    assert 0 <= version_in([(VERSION_KEY, value)]) < 10**15


def test_an_announced_version_is_read():
    assert version_in([("other", "5"), (VERSION_KEY, "17")]) == 17
    assert version_in([(VERSION_KEY, "9" * 16)]) == 0
    assert version_in([(VERSION_KEY, "\u0663")]) == 0  # a digit, but not one of ours
    assert version_in(None) == 0
