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

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from audit.verifier.note import Note, NoteSignature, unbase64, valid_key_name
from protocols.errors import Malformed, SignatureInvalid
from protocols.keys import VerifyKey

COSIGNATURE = b"\x04"  # signature type byte
HEADER = "cosignature/v1"
_LATEST_S = 2**63 - 1
_VERIFIER_KEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class CosignatureKey:
    """A witness's public key under the name it cosigns with."""

    name: str
    key: VerifyKey

    @property
    def key_id(self) -> bytes:
        """SHA-256(name || 0x0A || 0x04 || public key)[:4]."""
        data = self.name.encode() + b"\n" + COSIGNATURE + self.key.bytes
        return hashlib.sha256(data).digest()[:4]

    def encode(self) -> str:
        """The one-line form `<name>+<key id>+<base64>` (signed-note, "Verifier keys")."""
        body = base64.b64encode(COSIGNATURE + self.key.bytes).decode()
        return f"{self.name}+{self.key_id.hex()}+{body}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Inverse of `encode`.

        Raises:
            Malformed: not such a line, another algorithm, or the key id is not this key's.
        """
        match = _VERIFIER_KEY.fullmatch(text)
        if match is None or not valid_key_name(match[1]):
            raise Malformed("a witness key reads <name>+<8 hex digits>+<base64>")
        body = unbase64(match[3])
        if body[:1] != COSIGNATURE:
            raise Malformed("the key is not an Ed25519 cosignature key")
        found = cls(match[1], VerifyKey(body[1:]))
        if found.key_id.hex() != match[2]:
            raise Malformed("the witness key does not match its own key id")
        return found


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
