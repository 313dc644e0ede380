"""General JSON JWS: what a consent is signed with."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as jose
from joserfc.jwk import OKPKey

from protocols.canonical import b64url_decode, b64url_encode, canonical_json
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.jws import (
    MAX_SIGNATURES,
    add_signature,
    sign_general,
    unverified_payload,
    verify_general,
)
from protocols.keys import SigningKey

SUBJECT = SigningKey.from_seed(b"\x01" * 32)
NODE = SigningKey.from_seed(b"\x02" * 32)
KEYS = {"subject": SUBJECT.verify_key, "bank-a": NODE.verify_key}
PAYLOAD = canonical_json({"consent_id": "con_1", "purposes": ["score", "train"]})
SIGNED = sign_general(PAYLOAD, [("subject", SUBJECT), ("bank-a", NODE)])
LIMIT = 10_000


def jose_key(key: SigningKey) -> OKPKey:
    return OKPKey.import_key({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": b64url_encode(key.verify_key.bytes),
        "d": b64url_encode(key.seed),
    })  # fmt: skip


def changed(**members) -> bytes:
    return canonical_json({**json.loads(SIGNED), **members})


def with_header(header: bytes, **extra) -> bytes:
    """SIGNED by the subject alone, with a header of choice that the signature covers."""
    protected = b64url_encode(header)
    payload = b64url_encode(PAYLOAD)
    signature = b64url_encode(SUBJECT.sign_raw(f"{protected}.{payload}".encode()))
    entry = {"protected": protected, "signature": signature, **extra}
    return canonical_json({"payload": payload, "signatures": [entry]})


def test_two_signatures_verify_and_give_the_payload_back():
    assert verify_general(SIGNED, KEYS, max_bytes=LIMIT) == PAYLOAD
    assert unverified_payload(SIGNED, max_bytes=LIMIT) == PAYLOAD


def test_countersigning_later_gives_the_same_bytes_as_signing_together():
    first = sign_general(PAYLOAD, [("subject", SUBJECT)])
    assert add_signature(first, "bank-a", NODE) == SIGNED


def test_joserfc_verifies_what_is_signed_here():
    registry = jose.JWSRegistry(algorithms=["Ed25519"])
    keys = {"subject": jose_key(SUBJECT), "bank-a": jose_key(NODE)}

    def find(member):
        return keys[member.headers()["kid"]]

    found = jose.deserialize_json(json.loads(SIGNED), find, registry=registry)
    assert found.payload == PAYLOAD


def test_what_joserfc_signs_verifies_here():
    registry = jose.JWSRegistry(algorithms=["Ed25519"])
    members = [{"protected": {"alg": "Ed25519", "kid": "subject"}}]
    theirs = jose.serialize_json(members, PAYLOAD, jose_key(SUBJECT), registry=registry)
    keys = {"subject": SUBJECT.verify_key}
    assert verify_general(canonical_json(theirs), keys, max_bytes=LIMIT) == PAYLOAD


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"subject": SUBJECT.verify_key},
        {**KEYS, "regulator": NODE.verify_key},
        {"subject": NODE.verify_key, "bank-a": SUBJECT.verify_key},
        {"subject": SUBJECT.verify_key, "bank-b": NODE.verify_key},
    ],
    ids=["nobody", "one too many", "one missing", "exchanged", "another name"],
)
def test_the_signers_must_be_exactly_the_required_ones(keys):
    with pytest.raises(SignatureInvalid):
        verify_general(SIGNED, keys, max_bytes=LIMIT)


@given(st.integers(0, len(SIGNED) * 8 - 1))
def test_no_bit_can_be_flipped_unnoticed(bit):
    data = bytearray(SIGNED)
    data[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(CredenceError):
        verify_general(bytes(data), KEYS, max_bytes=LIMIT)


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none","kid":"subject"}',
        b'{"alg":"EdDSA","kid":"subject"}',
        b'{"alg":"HS256","kid":"subject"}',
        b'{"alg":"Ed25519","b64":false,"crit":["b64"],"kid":"subject"}',
        b'{"alg":"Ed25519","jwk":{},"kid":"subject"}',
        b'{"alg":"Ed25519","cty":"text","kid":"subject"}',
        b'{"alg":"Ed25519"}',
        b'{"kid":"subject"}',
        b'{"alg":"Ed25519","kid":1}',
        b'{"alg":["Ed25519"],"kid":"subject"}',
        b'{"alg":"Ed25519","kid":""}',
        b'{"alg":"Ed25519","kid":"a b"}',
        b'{"kid":"subject","alg":"Ed25519"}',
        b'{"alg":"Ed25519","alg":"Ed25519","kid":"subject"}',
        b"[]",
        b"",
        b'{"alg":"Ed25519","kid":"' + b"a" * 300 + b'"}',
    ],
)
def test_a_header_with_anything_but_the_algorithm_and_a_kid_is_refused(header):
    with pytest.raises(Malformed):
        verify_general(with_header(header), {"subject": SUBJECT.verify_key}, max_bytes=LIMIT)


def test_the_helper_of_these_tests_signs_rightly():
    good = with_header(b'{"alg":"Ed25519","kid":"subject"}')
    assert verify_general(good, {"subject": SUBJECT.verify_key}, max_bytes=LIMIT) == PAYLOAD


SIGNATURES = json.loads(SIGNED)["signatures"]


@pytest.mark.parametrize(
    "data",
    [
        changed(header={}),
        changed(signatures=[]),
        changed(signatures={}),
        changed(signatures=[SIGNATURES[0], SIGNATURES[1], SIGNATURES[0]]),
        changed(signatures=SIGNATURES * 5),
        changed(signatures=[{**SIGNATURES[0], "header": {"kid": "x"}}, SIGNATURES[1]]),
        changed(signatures=[{"signature": "AA"}, SIGNATURES[1]]),
        changed(signatures=[None]),
        changed(payload=None),
        changed(payload=b64url_encode(PAYLOAD) + "="),
        SIGNED + b" ",
        SIGNED.replace(b",", b", ", 1),
        b"[]",
        b"",
    ],
)
def test_a_jws_of_another_form_is_refused(data):
    with pytest.raises(CredenceError):
        verify_general(data, KEYS, max_bytes=LIMIT)


def test_the_order_of_signatures_is_the_signers_business():
    swapped = changed(signatures=SIGNATURES[::-1])
    assert verify_general(swapped, KEYS, max_bytes=LIMIT) == PAYLOAD


def test_a_payload_cannot_be_moved_under_another_signature():
    other = sign_general(b'{"consent_id":"con_2"}', [("subject", SUBJECT), ("bank-a", NODE)])
    with pytest.raises(SignatureInvalid):
        verify_general(changed(payload=json.loads(other)["payload"]), KEYS, max_bytes=LIMIT)


def test_the_size_limit_is_exact():
    verify_general(SIGNED, KEYS, max_bytes=len(SIGNED))
    with pytest.raises(Malformed):
        verify_general(SIGNED, KEYS, max_bytes=len(SIGNED) - 1)


def test_signers_need_distinct_well_formed_names():
    for signers in (
        [],
        [("a", SUBJECT), ("a", NODE)],
        [("", SUBJECT)],
        [("a b", SUBJECT)],
        [(f"k{i}", SUBJECT) for i in range(MAX_SIGNATURES + 1)],
    ):
        with pytest.raises(InvalidInput):
            sign_general(PAYLOAD, signers)
    with pytest.raises(InvalidInput):
        add_signature(SIGNED, "subject", NODE)


@given(st.binary(max_size=300))
def test_any_payload_travels(payload):
    data = sign_general(payload, [("subject", SUBJECT)])
    assert verify_general(data, {"subject": SUBJECT.verify_key}, max_bytes=LIMIT) == payload


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_our_own_error(data):
    with pytest.raises(CredenceError):
        verify_general(data, KEYS, max_bytes=LIMIT)
    with pytest.raises(CredenceError):
        add_signature(data, "bank-a", NODE)


JSON = st.recursive(
    st.none() | st.integers(-9, 9) | st.sampled_from(["AA", "", b64url_encode(b"{}")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["payload", "signatures", "protected", "signature", "kid"]), inner
        )
    ),
)


@given(JSON, JSON)
def test_nearly_a_jws_raises_nothing_but_our_own_error(payload, signatures):
    data = canonical_json({"payload": payload, "signatures": signatures})
    with pytest.raises(CredenceError):
        verify_general(data, KEYS, max_bytes=LIMIT)


def test_the_payload_travels_as_base64url():
    assert b64url_decode(json.loads(SIGNED)["payload"]) == PAYLOAD
