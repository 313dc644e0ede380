"""C2SP tlog-cosignature, Ed25519 (`cosignature/v1`): what a witness says of a checkpoint.

A cosignature is a note signature line of key type 0x04. Its signature is a time, 8 bytes, seconds
since 1970, and an Ed25519 signature over

    cosignature/v1
    time <seconds>
    <the note's text>

It states that at this time the largest tree that the witness had seen of this log has this root.
The first line keeps such a message apart from a checkpoint (whose first line is an origin, and
`cosignature/v1` may not be one) and from everything signed under a Credence domain.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from audit.verifier.note import Note, NoteSignature, VerifierKey
from protocols.errors import SignatureInvalid

COSIGNATURE = b"\x04"  # signature type byte
HEADER = "cosignature/v1"
_LATEST_S = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CosignatureKey(VerifierKey):
    """A witness's public key under the name it cosigns with."""

    kind: ClassVar[bytes] = COSIGNATURE
    called: ClassVar[str] = "witness key"
    another: ClassVar[str] = "the key is not an Ed25519 cosignature key"
    line: ClassVar[re.Pattern[str]] = re.compile(
        r"([^\s+\x00-\x1f]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)"
    )


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that verified: who, and when (seconds since 1970)."""

    key: CosignatureKey
    at_s: int


def signed_message(text: str, at_s: int) -> bytes:
    """What a witness signs; `text` is the note's, with its last newline."""
    return f"{HEADER}\ntime {at_s}\n{text}".encode()


def cosignature_of(note: Note, line: NoteSignature, key: CosignatureKey) -> Cosignature:
    """Check one cosignature line of a note.

    Checks: 1. the line is by this key; 2. its time is one; 3. the signature verifies.

    Raises:
        SignatureInvalid: a check fails.
    """
    # 1. Whose.
    if (line.name, line.key_id) != (key.name, key.key_id):
        raise SignatureInvalid("the cosignature is by another key")
    # 2. Time.
    at_s = int.from_bytes(line.signature[:8], "big")
    if len(line.signature) != 72 or at_s > _LATEST_S:
        raise SignatureInvalid("a cosignature is a time of 8 bytes and a signature of 64")
    # 3. Signature.
    key.key.verify_raw(signed_message(note.text, at_s), line.signature[8:])
    return Cosignature(key, at_s)


def cosignatures(note: Note, keys: Sequence[CosignatureKey]) -> list[Cosignature]:
    """The cosignatures of a note by keys that we know; lines of others are ignored.

    Raises:
        SignatureInvalid: a line of a known key does not verify: it spoils the note.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found = []
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is not None:
            found.append(cosignature_of(note, line, key))
    return found
