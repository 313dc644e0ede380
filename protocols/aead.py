"""Authenticated encryption of data at rest: AES-256-GCM (NIST SP 800-38D), random nonce.

A random 96-bit nonce is safe for 2^32 messages under one key; data keys here are per subject
and purpose, key-encryption keys wrap far fewer.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocols.errors import InvalidInput, SignatureInvalid

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16


def encrypt(key: bytes, plaintext: bytes, aad: bytes, *, nonce: bytes | None = None) -> bytes:
    """Encrypt and authenticate.

    Args:
        key: 32 bytes.
        plaintext: any length.
        aad: authenticated, not encrypted: what this ciphertext belongs to.
        nonce: 12 bytes just drawn from the system's random source for this text alone, by a caller
            that draws for many texts at once; None: drawn here.

    Returns:
        nonce (12 bytes) || ciphertext || tag (16 bytes).

    Raises:
        InvalidInput: the key is not 32 bytes.
    """
    nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
    return nonce + _cipher(key).encrypt(nonce, plaintext, aad)


def decrypt(key: bytes, blob: bytes, aad: bytes) -> bytes:
    """Open what `encrypt` made with the same key and `aad`.

    Raises:
        InvalidInput: the key is not 32 bytes.
        SignatureInvalid: another key, another `aad`, or changed bytes.
    """
    cipher = _cipher(key)
    if len(blob) < NONCE_BYTES + TAG_BYTES:
        raise SignatureInvalid("the ciphertext is too short to be whole")
    try:
        return cipher.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], aad)
    except InvalidTag as error:
        raise SignatureInvalid("the ciphertext does not open under this key") from error


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise InvalidInput("an AES-256 key is 32 bytes")
    return AESGCM(key)
