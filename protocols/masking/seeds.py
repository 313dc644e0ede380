"""Where masks come from: pairwise roots, one seed a round, and the stream that a seed opens into.

A pair's root is HKDF-SHA256 (RFC 5869) over their X25519 secret, bound to the campaign, its plan
and both ids and keys. A round's seed is HMAC-SHA256 under the root over the round's context, which
names round, roster and model: whoever learns one round's seed learns no other's, and two rounds, or
one round with two models, have nothing in common. Streams are ChaCha20 (RFC 8439): each seed keys
one stream, used once, so that the nonce may be constant.
"""

import hmac
from collections.abc import Iterable
from typing import Final

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.bindings import crypto_scalarmult
from nacl.exceptions import CryptoError

from protocols.canonical import canonical_json, sha256
from protocols.errors import Malformed
from protocols.keys import SealingKey
from protocols.masking.ring import Words

SEED_BYTES: Final = 32
_NONCE: Final = bytes(16)


def pair_root(
    own: SealingKey, peer_public: bytes, *, campaign: bytes, low: str, high: str
) -> bytes:
    """What two members share for one campaign, 32 bytes; both compute the same.

    Args:
        own: this member's mask key.
        peer_public: the other's, from its signed announcement.
        campaign: SHA-256 that names the campaign and its plan.
        low: the member id that sorts first.
        high: the other one.

    Raises:
        Malformed: the peer's key has low order.
    """
    try:
        shared = crypto_scalarmult(own.private, peer_public)
    except CryptoError as error:
        raise Malformed("the peer's mask key has low order") from error
    publics = b"".join(sorted((own.public, peer_public)))
    info = b"credence/1|mask-pair|" + campaign + f"|{low}|{high}|".encode() + publics
    return HKDF(algorithm=hashes.SHA256(), length=SEED_BYTES, salt=None, info=info).derive(shared)


def derive(key: bytes, label: str, *parts: bytes) -> bytes:
    """HMAC-SHA256 under a 32-byte key over a label and parts of fixed length."""
    return hmac.digest(key, label.encode() + b"|" + b"".join(parts), "sha256")


def round_context(
    campaign_id: str, plan_sha256: bytes, roster_sha256: bytes, number: int, model_sha256: bytes
) -> bytes:
    """SHA-256 that names one round: what its masks and views are bound to."""
    named = {
        "campaign_id": campaign_id,
        "plan": plan_sha256.hex(),
        "roster": roster_sha256.hex(),
        "round": number,
        "model": model_sha256.hex(),
    }
    return sha256(b"credence/1|mask-round|" + canonical_json(named))


def commitment(seed: bytes) -> bytes:
    """SHA-256 of a seed of 256 random bits: hides it, and fixes it before it is shown."""
    return sha256(b"credence/1|mask-seed|" + seed)


def stream(seed: bytes, size: int) -> Words:
    """`size` uniform 64-bit words; read-only."""
    encryptor = Cipher(ChaCha20(seed, _NONCE), mode=None).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * size)), "<u8")


def add_streams(words: Words, added: Iterable[bytes], taken: Iterable[bytes]) -> None:
    """Add the streams of some seeds to `words` in place, and take those of others away."""
    for seed in added:
        words += stream(seed, words.size)
    for seed in taken:
        words -= stream(seed, words.size)
