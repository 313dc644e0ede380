"""Passkeys: both ceremonies, and a signature as evidence."""

import json
from dataclasses import replace

import pytest

from protocols.assertions import Assertion, AssertionInvalid, check_assertion
from protocols.canonical import b64url_decode, b64url_encode, sha256
from protocols.cose_keys import eddsa_key, es256_key, parse_cose_key, rs256_key
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.passkeys import (
    PasskeyRejected,
    RelyingParty,
    authentication_options,
    credential_id_of,
    registration_options,
    verify_assertion,
    verify_registration,
)
from tests.passkey_device import PRESENT, VERIFIED, PasskeyDevice, eddsa, es256, rs256

RP = RelyingParty("bank.example", ("https://bank.example",), "Harbour Bank")
CHALLENGE = b"a challenge of 32 bytes, used once"
KEYS = {"ES256": es256, "EdDSA": eddsa, "RS256": rs256}


def check(made: Assertion, device: PasskeyDevice, challenge: bytes = CHALLENGE) -> None:
    check_assertion(
        made,
        public_key=device.public_key,
        challenge=challenge,
        rp_id=RP.rp_id,
        origins=RP.origins,
    )


@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS)
def test_a_registered_passkey_signs_in_and_its_counter_goes_up(make) -> None:
    """Register, then sign in: the key and the counter come out."""
    device = PasskeyDevice(key=make(), sign_count=3)
    passkey = verify_registration(RP, CHALLENGE, device.create(CHALLENGE))
    assert passkey.public_key == device.public_key
    assert passkey.credential_id == device.credential_id
    assert passkey.sign_count == 3
    response = device.get(CHALLENGE)
    assert credential_id_of(response) == device.credential_id
    assert verify_assertion(RP, CHALLENGE, passkey.public_key, passkey.sign_count, response) == 4


def test_the_options_ask_for_verification_and_for_keys_that_holders_can_check() -> None:
    """The browser is told to verify the person, and which algorithms count."""
    made = registration_options(RP, b"h" * 16, "customer", CHALLENGE, [b"known"])
    assert made["authenticatorSelection"]["userVerification"] == "required"
    assert [one["alg"] for one in made["pubKeyCredParams"]] == [-7, -8, -257]
    assert made["attestation"] == "none"
    assert b64url_decode(made["excludeCredentials"][0]["id"]) == b"known"
    asked = authentication_options(RP, CHALLENGE, [b"known"])
    assert asked["userVerification"] == "required"
    assert b64url_decode(asked["challenge"]) == CHALLENGE
    json.dumps([made, asked])


def test_a_short_challenge_is_refused() -> None:
    """A challenge that could be guessed is never sent out."""
    with pytest.raises(InvalidInput):
        authentication_options(RP, b"short", [])
    with pytest.raises(InvalidInput):
        registration_options(RP, b"", "customer", CHALLENGE, [])


@pytest.mark.parametrize(
    "bend",
    [
        {"origin": "https://bank.example.evil.example"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
    ],
    ids=["origin", "relying party", "not verified", "not present"],
)
def test_a_ceremony_elsewhere_or_without_the_person_is_refused(bend) -> None:
    """Another site, another relying party, or nobody there: no registration and no sign-in."""
    honest = PasskeyDevice()
    bent = replace(honest, **bend)
    with pytest.raises(PasskeyRejected):
        verify_registration(RP, CHALLENGE, bent.create(CHALLENGE))
    with pytest.raises(PasskeyRejected):
        verify_assertion(RP, CHALLENGE, honest.public_key, 0, bent.get(CHALLENGE))
    with pytest.raises(AssertionInvalid):
        check(bent.confirm(CHALLENGE), honest)


def test_a_used_assertion_does_not_sign_in_again() -> None:
    """Its counter is no longer above the last one, and its challenge is not the new one."""
    device = PasskeyDevice()
    response = device.get(CHALLENGE)
    count = verify_assertion(RP, CHALLENGE, device.public_key, 0, response)
    with pytest.raises(PasskeyRejected):
        verify_assertion(RP, CHALLENGE, device.public_key, count, response)
    with pytest.raises(PasskeyRejected):
        verify_assertion(RP, b"another challenge", device.public_key, 0, response)


@pytest.mark.parametrize(
    "response",
    [b"", b"[]", b"{}", b"null", b'{"id":1}', b"{" * 50, b"\xff", b'{"id":"' + b"a" * 40_000],
)
def test_what_is_no_credential_is_refused_with_a_typed_error(response) -> None:
    """Nothing that a stranger posts ends in another exception."""
    for call in (
        lambda: verify_registration(RP, CHALLENGE, response),
        lambda: verify_assertion(RP, CHALLENGE, PasskeyDevice().public_key, 0, response),
        lambda: credential_id_of(response),
    ):
        with pytest.raises(CredenceError):
            call()


@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS)
def test_an_assertion_is_evidence_for_what_was_signed_and_nothing_else(make) -> None:
    """The check passes for its challenge and key; a changed byte anywhere fails."""
    device = PasskeyDevice(key=make())
    made = device.confirm(CHALLENGE)
    check(made, device)
    with pytest.raises(AssertionInvalid):
        check(made, device, b"another challenge")
    with pytest.raises(SignatureInvalid):
        check(made, PasskeyDevice(key=make()))
    bent = bytearray(made.authenticator_data)
    bent[36] ^= 1
    with pytest.raises(SignatureInvalid):
        check(replace(made, authenticator_data=bytes(bent)), device)
    with pytest.raises(SignatureInvalid):
        check(replace(made, client_data=made.client_data + b" "), device)
    with pytest.raises(SignatureInvalid):
        check(replace(made, signature=made.signature[:-1]), device)


@pytest.mark.parametrize(
    "more",
    [{"kind": "webauthn.create"}, {"crossOrigin": True}, {"topOrigin": "https://evil.example"}],
    ids=["type", "cross origin", "top origin"],
)
def test_client_data_of_another_kind_is_refused(more) -> None:
    """A registration, or a page framed by another site, confirms nothing."""
    device = PasskeyDevice()
    with pytest.raises(AssertionInvalid):
        check(device.confirm(CHALLENGE, **more), device)


def test_authenticator_data_is_as_long_as_its_flags_say() -> None:
    """Bytes after the counter need the extension flag, and attested data has no place here."""
    device = PasskeyDevice()
    client = device.client_data(CHALLENGE)
    for flags, tail in ((0, b"\xa0"), (0x80, b""), (0x40, b"\xa0")):
        data = device.authenticator_data(flags, tail)
        made = Assertion(data, client, device.sign(data + sha256(client)))
        with pytest.raises(AssertionInvalid):
            check(made, device)
    data = device.authenticator_data(0x80, b"\xa0")
    check(Assertion(data, client, device.sign(data + sha256(client))), device)


def test_sizes_are_limited_before_anything_is_parsed() -> None:
    """Oversized parts are malformed, not invalid: nobody looked into them."""
    device = PasskeyDevice()
    made = device.confirm(CHALLENGE)
    for bent in (
        replace(made, client_data=b" " * 2049),
        replace(made, authenticator_data=bytes(1025)),
        replace(made, authenticator_data=bytes(36)),
        replace(made, signature=bytes(257)),
    ):
        with pytest.raises(Malformed):
            check(bent, device)


def test_a_cose_key_has_one_encoding_and_holds_a_key() -> None:
    """Other algorithms, orders, lengths and points off the curve are no keys."""
    key = PasskeyDevice().public_key
    parse_cose_key(key)
    bad = [
        b"",
        key[:-1],
        key + b"\x00",
        b"\x04" + key[10:42] + key[45:],
        key.replace(b"\x03\x26", b"\x03\x38\x22", 1),
        es256_key(bytes(32), bytes(32)),
        es256_key(b"\xff" * 32, b"\xff" * 32),
        eddsa_key(bytes(31)),
        rs256_key(bytes(256)),
        rs256_key(b"\xff" * 255 + b"\x00"),
    ]
    for one in bad:
        with pytest.raises(Malformed):
            parse_cose_key(one)
    assert b64url_encode(key)
