"""Encryption at rest and the keystore."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from protocols.aead import decrypt, encrypt
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.keystore import MAX_KEYSTORE_BYTES, open_keys, seal_keys

KEY = bytes(range(32))


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_is_encrypted_opens_with_the_same_key_and_context(plaintext, aad):
    blob = encrypt(KEY, plaintext, aad)
    assert len(blob) == len(plaintext) + 28
    assert decrypt(KEY, blob, aad) == plaintext
    # The form is nonce, then AES-256-GCM as anybody has it.
    assert AESGCM(KEY).decrypt(blob[:12], blob[12:], aad) == plaintext


def test_the_same_text_never_encrypts_to_the_same_bytes():
    assert encrypt(KEY, b"text", b"") != encrypt(KEY, b"text", b"")


def test_another_key_context_or_bit_does_not_open():
    blob = encrypt(KEY, b"text", b"context")
    attempts = [(bytes(32), blob, b"context"), (KEY, blob, b"other"), (KEY, blob[:-1], b"context")]
    attempts += [
        (KEY, blob[:i] + bytes([blob[i] ^ 1]) + blob[i + 1 :], b"context") for i in range(len(blob))
    ]
    for key, changed, aad in attempts:
        with pytest.raises(SignatureInvalid):
            decrypt(key, changed, aad)


@given(st.binary(max_size=100))
def test_random_bytes_never_decrypt(blob):
    with pytest.raises(SignatureInvalid):
        decrypt(KEY, blob, b"")


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_only_256_bit_keys_are_taken(length):
    with pytest.raises(InvalidInput):
        encrypt(bytes(length), b"", b"")
    with pytest.raises(InvalidInput):
        decrypt(bytes(length), bytes(40), b"")


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), st.binary()))
def test_a_keystore_gives_back_what_it_was_given(keys):
    assert open_keys(KEY, seal_keys(KEY, keys)) == keys


def test_a_keystore_shows_none_of_its_keys():
    secret = b"\x55" * 32
    assert secret not in seal_keys(KEY, {"signing": secret})


def test_a_keystore_does_not_open_under_another_key_or_changed():
    blob = seal_keys(KEY, {"signing": b"secret"})
    with pytest.raises(SignatureInvalid):
        open_keys(bytes(32), blob)
    for i in range(len(blob)):
        with pytest.raises(CredenceError):
            open_keys(KEY, blob[:i] + bytes([blob[i] ^ 1]) + blob[i + 1 :])


def test_a_ciphertext_of_another_use_is_no_keystore():
    header = b"credence-keystore/1\n"
    with pytest.raises(SignatureInvalid):
        open_keys(KEY, header + encrypt(KEY, b'{"a":""}', b"another use"))
    for body in (b"[]", b'{"a":1}', b'{"a":"?"}', b'{"a": ""}', b"x"):
        with pytest.raises(Malformed):
            open_keys(KEY, header + encrypt(KEY, body, header))


@given(st.binary(max_size=100))
def test_random_bytes_are_no_keystore(blob):
    for data in (blob, b"credence-keystore/1\n" + blob):
        with pytest.raises(CredenceError):
            open_keys(KEY, data)


def test_names_and_size_of_a_keystore_are_limited():
    for name in ("", "Signing", "a b", "1a", "a" * 65):
        with pytest.raises(InvalidInput):
            seal_keys(KEY, {name: b""})
    with pytest.raises(InvalidInput):
        seal_keys(KEY, {"big": bytes(MAX_KEYSTORE_BYTES)})
    with pytest.raises(Malformed):
        open_keys(KEY, b"credence-keystore/1\n" + bytes(MAX_KEYSTORE_BYTES))
