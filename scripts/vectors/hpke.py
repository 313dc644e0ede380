"""HPKE base mode, single shot (RFC 9180), with a given ephemeral key: only for vectors.

DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, written from the RFC's sections 4 and 5, so
that a vector is not merely what the library in use says of itself.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEM = b"KEM" + (0x0020).to_bytes(2, "big")
HPKE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0002))


def seal(ephemeral: bytes, recipient: bytes, info: bytes, plaintext: bytes) -> bytes:
    """Encapsulated key (32 bytes) || ciphertext || tag (16 bytes)."""
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = private.public_key().public_bytes_raw()
    shared = _decapsulated(
        private.exchange(X25519PublicKey.from_public_bytes(recipient)), enc + recipient
    )
    key, nonce = _schedule(shared, info)
    return enc + AESGCM(key).encrypt(nonce, plaintext, b"")


def _decapsulated(dh: bytes, kem_context: bytes) -> bytes:
    """ExtractAndExpand, section 4.1."""
    prk = _extract(KEM, b"", b"eae_prk", dh)
    return _expand(KEM, prk, b"shared_secret", kem_context, 32)


def _schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and base nonce of KeySchedule in base mode, section 5.1."""
    context = (
        b"\x00" + _extract(HPKE, b"", b"psk_id_hash", b"") + _extract(HPKE, b"", b"info_hash", info)
    )
    secret = _extract(HPKE, shared, b"secret", b"")
    return (
        _expand(HPKE, secret, b"key", context, 32),
        _expand(HPKE, secret, b"base_nonce", context, 12),
    )


def _extract(suite: bytes, salt: bytes, label: bytes, data: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + data, hashlib.sha256)


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    # At most 32 bytes are asked for: one block of HKDF-Expand.
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labelled + b"\x01", hashlib.sha256)[:length]
