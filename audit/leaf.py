"""What one leaf says, and what it only commits to.

A leaf is public and holds no personal data: canonical JSON (RFC 8785) of

    {actor, at_ms, ch, correlation, kind, pc, purpose, version}

The payload, which may speak of a person, is in the log only as two hashes, in hex:

    pc = SHA-256("credence/1|audit-payload|" || salt || payload)    salt: 32 random bytes
    ch = SHA-256(ciphertext)                ciphertext: key id || AEAD(data key, salt || payload)

`ch` lets anybody check the stored ciphertext blind. `pc` lets the log's owner show one payload to
somebody (`Opening`) without any key; the salt, which exists only inside the ciphertext, keeps
anybody from guessing a payload of few possible values. When the data key is destroyed, both hashes
stay and say nothing.
"""

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.shredding import DataKey
from protocols import aead
from protocols.canonical import canonical_json, parse_json
from protocols.errors import CredenceError, InvalidInput

LEAF_VERSION = 1
MAX_LEAF_BYTES = 1_024  # all fields at their longest fit
MAX_PAYLOAD_BYTES = 65_535
MAX_PAYLOAD_DEPTH = 16
SALT_SIZE = 32
KEY_ID_SIZE = 16
_PAYLOAD_DOMAIN = b"credence/1|audit-payload|"
_MAX_INTEGER = 2**53 - 1  # RFC 8785 section 3.2.2.3: numbers beyond are doubles

# Only characters that JSON never escapes: nothing to inject, and no room for a person's name.
_KIND = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_ACTOR = re.compile(r"[A-Za-z0-9._:@/=+-]{1,128}")
_PURPOSE = re.compile(r"[a-z_]{0,32}")
_CORRELATION = re.compile(r"[A-Za-z0-9._:@/=+-]{0,128}")


class PayloadMismatch(CredenceError):
    """A payload is not the one its leaf commits to."""

    code = "payload_mismatch"
    category = "internal"
    next_step = "Verify the log with `credence audit verify log`; the stored payload was changed."


@dataclass(frozen=True, slots=True)
class Entry:
    """One act to be logged.

    Attributes:
        kind: dotted lower-case name of the act, for example `consent.granted`.
        actor: who acted: a member or client id, `operator`, `subject`; never a person's name.
        purpose: purpose code of the consent it rests on, or empty.
        correlation: id that the other party's leaf carries too (request, campaign), or empty.
        payload: JSON object, encrypted; at most 65,535 bytes of canonical JSON, 16 levels deep.
        subject: pseudonym of the person it is about, None when about nobody; never in the leaf.
        at_ms: when, UTC milliseconds.
    """

    kind: str
    actor: str
    purpose: str
    correlation: str
    payload: Mapping[str, Any]
    subject: bytes | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """What is stored of an entry: the leaf's bytes and the payload's ciphertext."""

    leaf: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Opening:
    """What shows somebody the payload behind one leaf: `commitment(salt, payload)` is its `pc`."""

    payload: bytes
    salt: bytes


def seal_entries(entries: Sequence[Entry], keys: Sequence[DataKey]) -> list[SealedEntry]:
    """Encrypt the payloads, each under the key at its place, and write the leaves.

    Raises:
        InvalidInput: a field is outside its alphabet or range, or a payload is not JSON or too
            long. The message names the field, never its value.
    """
    # Drawn at once: every draw gives up the interpreter's lock.
    size = SALT_SIZE + aead.NONCE_BYTES
    drawn = os.urandom(size * len(entries))
    return [
        _seal(entry, key, drawn[at : at + SALT_SIZE], drawn[at + SALT_SIZE : at + size])
        for at, entry, key in zip(range(0, len(drawn), size), entries, keys, strict=True)
    ]


def commitment(salt: bytes, payload: bytes) -> bytes:
    """`pc` of the module docstring, 32 bytes."""
    return hashlib.sha256(_PAYLOAD_DOMAIN + salt + payload).digest()


def parse_leaf(leaf: bytes) -> dict[str, Any]:
    """The fields of a leaf that this log wrote."""
    fields: dict[str, Any] = parse_json(leaf, max_bytes=MAX_LEAF_BYTES)
    return fields


def parse_payload(payload: bytes) -> dict[str, Any]:
    """The JSON object of a payload that this log wrote and authenticated."""
    # Not `parse_json`: RFC 8785 writes the float 1e16 as an integer, which that refuses.
    fields: dict[str, Any] = json.loads(payload, parse_int=_number)
    return fields


def key_id_of(ciphertext: bytes) -> bytes:
    """Id of the data key that a stored ciphertext needs, 16 bytes."""
    return ciphertext[:KEY_ID_SIZE]


def open_ciphertext(leaf: bytes, ciphertext: bytes, key: DataKey) -> Opening:
    """Decrypt a payload and check it against its leaf.

    Raises:
        SignatureInvalid: the ciphertext was changed or belongs to another leaf.
        PayloadMismatch: the payload is not what the leaf commits to.
    """
    pc = bytes.fromhex(parse_leaf(leaf)["pc"])
    plain = aead.decrypt(key.key, ciphertext[KEY_ID_SIZE:], _associated_data(pc))
    opening = Opening(payload=plain[SALT_SIZE:], salt=plain[:SALT_SIZE])
    if not hmac.compare_digest(commitment(opening.salt, opening.payload), pc):
        raise PayloadMismatch("the stored payload is not the one its leaf commits to")
    return opening


def _seal(entry: Entry, key: DataKey, salt: bytes, nonce: bytes) -> SealedEntry:
    payload = _encode_payload(entry.payload)
    pc = commitment(salt, payload)
    blob = aead.encrypt(key.key, salt + payload, _associated_data(pc), nonce=nonce)
    ciphertext = key.key_id + blob
    return SealedEntry(_encode_leaf(entry, pc, hashlib.sha256(ciphertext).digest()), ciphertext)


def _encode_leaf(entry: Entry, pc: bytes, ch: bytes) -> bytes:
    for name, pattern, value in (
        ("kind", _KIND, entry.kind),
        ("actor", _ACTOR, entry.actor),
        ("purpose", _PURPOSE, entry.purpose),
        ("correlation", _CORRELATION, entry.correlation),
    ):
        if pattern.fullmatch(value) is None:
            raise InvalidInput(f"audit entry: {name} must match {pattern.pattern}")
    if type(entry.at_ms) is not int or not 0 <= entry.at_ms <= _MAX_INTEGER:
        raise InvalidInput("audit entry: at_ms must be a whole number of ms since 1970")
    # Keys in order and values that need no escape: these bytes are what RFC 8785 would write.
    text = (
        f'{{"actor":"{entry.actor}","at_ms":{entry.at_ms},"ch":"{ch.hex()}",'
        f'"correlation":"{entry.correlation}","kind":"{entry.kind}","pc":"{pc.hex()}",'
        f'"purpose":"{entry.purpose}","version":{LEAF_VERSION}}}'
    )
    return text.encode("ascii")


def _encode_payload(payload: Mapping[str, Any]) -> bytes:
    encoded = canonical_json(dict(payload))
    if len(encoded) > MAX_PAYLOAD_BYTES:
        raise InvalidInput(
            f"audit entry: the payload has {len(encoded)} bytes, at most {MAX_PAYLOAD_BYTES} go in"
        )
    if (
        encoded.count(b"{") + encoded.count(b"[") > MAX_PAYLOAD_DEPTH
        and _depth(payload) > MAX_PAYLOAD_DEPTH
    ):
        raise InvalidInput(f"audit entry: the payload is nested deeper than {MAX_PAYLOAD_DEPTH}")
    return encoded


def _number(text: str) -> int | float:
    number = int(text)
    return number if abs(number) <= _MAX_INTEGER else float(text)


def _depth(value: Any) -> int:
    """Levels of nesting; `canonical_json` has bounded them already."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return 0
    deeper = (_depth(one) for one in value if not isinstance(one, str | int))
    return 1 + max(deeper, default=0)


def _associated_data(pc: bytes) -> bytes:
    """Binds a ciphertext to its leaf."""
    return _PAYLOAD_DOMAIN + pc
