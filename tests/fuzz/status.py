"""Status lists, attestations of deletion and training proofs, by who signs and means harm."""

from functools import cache

from audit.verifier.absence import check_absent, check_training_proof
from consent.deletion import Deletion, sign_deletion, verify_deletion
from consent.status_list import (
    LIFE_MS,
    StatusHead,
    bytes_of,
    changed,
    compress,
    decompress,
    listed,
    sign_head,
    verify_head,
)
from protocols.canonical import sha256
from protocols.jws import sign_general
from protocols.keys import SigningKey
from tests.fuzz.trying import attempt, canonical_too

NOW_MS = 1_780_000_000_000
NONCE = bytes(16)
CONSENT_ID = "con_" + "a" * 26
BITS = b"\x01\x20\x00"
HELD = b"\x00\x00"


def run(data: bytes) -> bool:
    """The bytes as a head, as bits under an honest head, as an attestation, as a proof."""
    taken = [attempt(unpacked, data), attempt(check_training_proof, data)]
    for body in canonical_too(data):
        taken += [attempt(headed, body), attempt(attested, body)]
    attempt(check_absent, bytes(32), bytes(32), 3, {"below": None, "above": data.decode("latin-1")})
    return any(taken)


def headed(body: bytes) -> None:
    """A head that the controller signed."""
    jws = sign_general(body, [(key().verify_key.key_id, key())])
    head = verify_head(jws, "bank-a", [key().verify_key], NONCE, NOW_MS)
    if head.body() != body or not 0 < head.life_ms <= LIFE_MS:
        raise AssertionError("a head is not what it was read from, or outlives a minute")


def unpacked(data: bytes) -> None:
    """Bits on their way."""
    bits = decompress(data, honest())
    for index in changed(HELD, bits):
        listed(bits, 4 * len(bits), index)


def attested(body: bytes) -> None:
    """An attestation that the party signed."""
    jws = sign_general(body, [(key().verify_key.key_id, key())])
    if verify_deletion(jws, "payments", CONSENT_ID, [key().verify_key]).body() != body:
        raise AssertionError("an attestation is not what it was read from")


def honest() -> StatusHead:
    """The head of `BITS`."""
    entries = 4 * len(BITS)
    if bytes_of(entries) != len(BITS):
        raise AssertionError("bits and entries differ")
    return StatusHead("bank-a", 7, NONCE, NOW_MS, NOW_MS + LIFE_MS, entries, sha256(BITS))


@cache
def key() -> SigningKey:
    """Of whoever signs."""
    return SigningKey.from_seed(b"s" * 32)


def seeds() -> list[bytes]:
    """A head, its bits and an attestation, each taken whole."""
    made = Deletion("payments", CONSENT_ID, bytes(32), 1, 2, 3, NOW_MS)
    verify_head(sign_head(honest(), key()), "bank-a", [key().verify_key], NONCE, NOW_MS)
    verify_deletion(sign_deletion(made, key()), "payments", CONSENT_ID, [key().verify_key])
    return [honest().body(), compress(BITS), made.body()]
