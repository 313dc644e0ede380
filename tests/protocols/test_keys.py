"""Signature keys, sealing keys and the secret of a pair."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult

from protocols.documents import KINDS
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.keys import SealingKey, SigningKey, VerifyKey, pair_key

# RFC 8032 section 7.1: seed, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e"
            "39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f"
            "3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67"
            "f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]

KEY = SigningKey.from_seed(b"\x01" * 32)
BANK = SealingKey.from_bytes(b"\x02" * 32)
PAYMENTS = SealingKey.from_bytes(b"\x03" * 32)


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032_come_out(seed, public, message, signature):
    key = SigningKey.from_seed(bytes.fromhex(seed))
    assert key.verify_key.bytes.hex() == public
    assert key.sign_raw(bytes.fromhex(message)).hex() == signature
    key.verify_key.verify_raw(bytes.fromhex(message), bytes.fromhex(signature))


def test_the_public_key_of_rfc_7748_comes_out():
    private = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
    public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert SealingKey.from_bytes(bytes.fromhex(private)).public.hex() == public


def test_what_is_signed_is_the_protocol_the_domain_and_the_message():
    signature = KEY.sign("request", b"body")
    assert signature == KEY.sign_raw(b"credence/1|request|body")


def test_a_signature_of_one_domain_means_nothing_in_another():
    signature = KEY.sign("request", b"body")
    KEY.verify_key.verify("request", b"body", signature)
    with pytest.raises(SignatureInvalid):
        KEY.verify_key.verify("answer", b"body", signature)


def test_no_kind_of_document_is_a_domain_of_messages():
    assert set(KINDS).isdisjoint({"request", "answer", "join"})


@pytest.mark.parametrize("domain", ["", "a|b", "A", "a b", "a" * 33, "é", "a\n"])
def test_a_domain_that_could_run_into_the_message_is_refused(domain):
    with pytest.raises(InvalidInput):
        KEY.sign(domain, b"")
    with pytest.raises(InvalidInput):
        KEY.verify_key.verify(domain, b"", bytes(64))


@given(st.binary(max_size=80), st.integers(0, 511))
def test_one_flipped_bit_of_a_signature_breaks_it(message, bit):
    signature = bytearray(KEY.sign("request", message))
    signature[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(SignatureInvalid):
        KEY.verify_key.verify("request", message, bytes(signature))


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(min_size=32, max_size=32))
def test_random_signatures_and_keys_raise_nothing_but_our_own_error(message, signature, key):
    with pytest.raises(CredenceError):
        VerifyKey(key).verify("request", message, signature)


@pytest.mark.parametrize(
    "low_order", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"]
)
def test_a_key_of_low_order_verifies_nothing(low_order):
    # With such a key an all-zero signature would pass the equation for many messages.
    for signature in (bytes(64), low_order + bytes(32)):
        with pytest.raises(SignatureInvalid):
            VerifyKey(low_order).verify("request", b"", signature)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_of_another_length_are_refused(length):
    for make in (VerifyKey, SigningKey.from_seed, SealingKey.from_bytes):
        with pytest.raises(Malformed):
            make(bytes(length))


def test_private_halves_stay_out_of_every_repr():
    assert repr(KEY) == f"SigningKey({KEY.verify_key.key_id})"
    for key, secret in ((KEY, KEY.seed), (BANK, BANK.private)):
        assert secret.hex() not in repr(key)
        assert repr(secret) not in repr(key)


def test_verify_keys_are_equal_by_value_and_can_be_looked_up():
    same = VerifyKey(KEY.verify_key.bytes)
    assert {KEY.verify_key: "here"}[same] == "here"
    assert same != SigningKey.generate().verify_key
    assert same.key_id == KEY.verify_key.key_id
    assert len(same.key_id) == 16


def test_fresh_keys_differ():
    assert SigningKey.generate().seed != SigningKey.generate().seed
    assert SealingKey.generate().private != SealingKey.generate().private


def test_both_members_of_a_pair_derive_the_same_secret():
    names = {"low": "bank-a", "high": "payments", "epoch": 4}
    ours = pair_key(BANK, PAYMENTS.public, **names)
    assert ours == pair_key(PAYMENTS, BANK.public, **names)
    assert len(ours) == 32


def test_the_secret_of_a_pair_is_hkdf_over_names_epoch_and_both_public_keys():
    shared = crypto_scalarmult(BANK.private, PAYMENTS.public)
    publics = sorted([BANK.public, PAYMENTS.public])
    info = b"credence/1|pair|bank-a|payments|4|" + b"".join(publics)
    prk = hmac.digest(bytes(32), shared, "sha256")  # RFC 5869, no salt
    expected = hmac.digest(prk, info + b"\x01", "sha256")
    assert pair_key(BANK, PAYMENTS.public, low="bank-a", high="payments", epoch=4) == expected


def test_the_secret_of_a_pair_changes_with_epoch_member_and_key():
    other = SealingKey.from_bytes(b"\x04" * 32)
    secrets = [
        pair_key(BANK, PAYMENTS.public, low="bank-a", high="payments", epoch=4),
        pair_key(BANK, PAYMENTS.public, low="bank-a", high="payments", epoch=5),
        pair_key(BANK, PAYMENTS.public, low="bank-b", high="payments", epoch=4),
        pair_key(BANK, PAYMENTS.public, low="bank-a", high="payments-2", epoch=4),
        pair_key(BANK, other.public, low="bank-a", high="payments", epoch=4),
    ]
    assert len(set(secrets)) == len(secrets)


@pytest.mark.parametrize(
    ("low", "high", "epoch"),
    [("payments", "bank-a", 0), ("bank-a", "bank-a", 0), ("bank-a", "payments", -1), ("A", "b", 0)],
)
def test_a_pair_is_two_members_in_order_and_an_epoch(low, high, epoch):
    with pytest.raises(InvalidInput):
        pair_key(BANK, PAYMENTS.public, low=low, high=high, epoch=epoch)


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), bytes(31)])
def test_a_peer_key_that_would_fix_the_secret_is_refused(public):
    with pytest.raises(Malformed):
        pair_key(BANK, public, low="bank-a", high="payments", epoch=0)
