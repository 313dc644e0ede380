"""The status list of a consent node: for each consent it controls, whether it still holds.

A push can be lost, or kept from somebody. So whoever relies on another member's consent asks that
member for its list, again and again, and refuses once its newest proof is older than a minute.

The list has two bits for each version of a consent, at the *status index* that the consent node
gave it, as in the Token Status List of the IETF (draft-ietf-oauth-status-list): 0 valid, 1 ended, 2
paused, 3 kept for later and taken as ended. Index i stands in byte i // 4, the lowest first. A
small signed *head* holds the bits by their hash; they travel beside it, compressed, and only to who
does not have them yet:

    {"type", "controller", "version", "nonce", "issued_at_ms", "expires_at_ms",
     "entries", "bits_sha256"}        RFC 8785, signed by the controller as a general JSON JWS

`version` counts with the changes of the list: it never falls, and one version has one content.
`nonce` is the asker's. A head with it was signed after the question was asked, so its age can be
counted on the asker's own clock from then on, whatever time it is at the controller.
"""

import hmac
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from consent.fields import MAX_TIME_MS, Fields
from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.errors import CredenceError, Malformed, SignatureInvalid, StateConflict
from protocols.jws import sign_general, signers, unverified_payload, verify_general
from protocols.keys import SigningKey, VerifyKey

TYPE = "credence.status-list/1"
LIFE_MS = 60_000
CLOCK_SKEW_MS = 60_000
NONCE_BYTES = 16

MAX_ENTRIES = 2**23  # versions of consents of one controller; 2 MiB of bits
MAX_HEAD_BYTES = 2048
MAX_COMPRESSED_BYTES = 2 * 1024 * 1024 - 16 * 1024  # within the largest answer of the transport
MAX_VERSION = 2**53 - 1

_NONCE = re.compile(r"[0-9a-f]{32}")
_PER_BYTE = 4
_MASK = 3


class Listed(IntEnum):
    """What a list says of one version of a consent."""

    VALID = 0
    ENDED = 1
    PAUSED = 2
    RESERVED = 3


class StatusListRollback(StateConflict):
    """An older status list than one already seen of this controller."""

    code = "status_list_rollback"
    next_step = "Have the consent node restore its newest database; releases wait meanwhile."


class StatusListConflict(StateConflict):
    """Two different status lists of one controller under one version."""

    code = "status_list_conflict"
    next_step = "Keep both and report the controller: it tells different members different things."


class StatusListOutdated(CredenceError):
    """A status list that was not signed for this question, or at another time than now."""

    code = "status_list_outdated"
    category = "unavailable"
    retryable = True
    next_step = "Ask the consent node again; if it goes on, compare both clocks."


class StatusListFull(StateConflict):
    """The consent node has given out every status index."""

    code = "status_list_full"
    next_step = "Move new consents to another controller; indices are never used again."


@dataclass(frozen=True, slots=True)
class StatusHead:
    """The signed part of a status list.

    Attributes:
        controller: member id of the consent node.
        version: of the content.
        nonce: what the asker sent, 16 bytes.
        issued_at_ms: when it was signed, by the controller's clock, UTC milliseconds.
        expires_at_ms: at most 60 s later.
        entries: how many indices it covers.
        bits_sha256: SHA-256 of the uncompressed bits.
    """

    controller: str
    version: int
    nonce: bytes
    issued_at_ms: int
    expires_at_ms: int
    entries: int
    bits_sha256: bytes

    @property
    def life_ms(self) -> int:
        """How long it may be relied on, milliseconds."""
        return self.expires_at_ms - self.issued_at_ms

    def body(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical_json({
            "type": TYPE,
            "controller": self.controller,
            "version": self.version,
            "nonce": self.nonce.hex(),
            "issued_at_ms": self.issued_at_ms,
            "expires_at_ms": self.expires_at_ms,
            "entries": self.entries,
            "bits_sha256": self.bits_sha256.hex(),
        })  # fmt: skip

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a head's body.

        Raises:
            Malformed: too large, not canonical, or a field missing, unknown or out of its grammar.
        """
        fields = Fields(parse_canonical(body, max_bytes=MAX_HEAD_BYTES), "the status list")
        fields.constant("type", TYPE)
        found = cls(
            controller=fields.member("controller"),
            version=fields.integer("version", 0, MAX_VERSION),
            nonce=bytes.fromhex(fields.text("nonce", _NONCE)),
            issued_at_ms=fields.time_ms("issued_at_ms"),
            expires_at_ms=fields.integer("expires_at_ms", 0, MAX_TIME_MS + LIFE_MS),
            entries=fields.integer("entries", 0, MAX_ENTRIES),
            bits_sha256=fields.digest("bits_sha256"),
        )
        fields.end()
        return found


def sign_head(head: StatusHead, key: SigningKey) -> bytes:
    """The head as a JWS with the controller's signature."""
    return sign_general(head.body(), [(key.verify_key.key_id, key)])


def verify_head(
    jws: bytes, controller: str, keys: Sequence[VerifyKey], nonce: bytes, now_ms: int
) -> StatusHead:
    """Check the head of a list that was asked for.

    1. its size and form; every field within its grammar, in canonical bytes;
    2. it is the list of the controller that was asked;
    3. one of the keys that the controller signs with now signed it, and nobody else;
    4. it was made for this question;
    5. it lives, and for a minute at most;
    6. its times are those of now, give or take the clock skew.

    Args:
        jws: the bytes as received.
        controller: whom the list was asked of.
        keys: those the directory has of it now.
        nonce: sent with the question.
        now_ms: when the question was sent, UTC milliseconds by the asker's clock.

    Raises:
        Malformed: 1.
        SignatureInvalid: 2, 3.
        StatusListOutdated: 4, 5, 6.
    """
    # 1
    head = StatusHead.parse(unverified_payload(jws, max_bytes=MAX_HEAD_BYTES))
    # 2
    if head.controller != controller:
        raise SignatureInvalid("the status list is another member's")
    # 3
    by_id = {key.key_id: key for key in keys}
    named = [by_id[one] for one in signers(jws, max_bytes=MAX_HEAD_BYTES) if one in by_id]
    verify_general(jws, {key.key_id: key for key in named}, max_bytes=MAX_HEAD_BYTES)
    # 4
    if not hmac.compare_digest(head.nonce, nonce):
        raise StatusListOutdated("the status list answers another question")
    # 5
    if not 0 < head.life_ms <= LIFE_MS:
        raise StatusListOutdated("the status list does not live for a minute at most")
    # 6
    if not head.issued_at_ms - CLOCK_SKEW_MS <= now_ms < head.expires_at_ms + CLOCK_SKEW_MS:
        raise StatusListOutdated("the status list is of another time than now")
    return head


def check_follows(head: StatusHead, seen: tuple[int, int, bytes] | None) -> None:
    """Check that a verified list is not older than one that was seen before.

    Args:
        head: verified.
        seen: version, entries and hash of the bits of the newest list so far; None: none.

    Raises:
        StatusListRollback: its version is lower, or it covers fewer consents.
        StatusListConflict: the same version with another content.
    """
    if seen is None:
        return
    version, entries, bits_sha256 = seen
    if head.version < version or head.entries < entries:
        raise StatusListRollback("an older status list than the one held here")
    if head.version == version and (head.entries, head.bits_sha256) != (entries, bits_sha256):
        raise StatusListConflict("two status lists of one version")


def bytes_of(entries: int) -> int:
    """How many bytes the bits of so many entries take."""
    return -(-entries // _PER_BYTE)


def compress(bits: bytes) -> bytes:
    """Bits as they travel: ZLIB (RFC 1950), as in the Token Status List."""
    return zlib.compress(bits, 6)


def decompress(data: bytes, head: StatusHead) -> bytes:
    """The bits of a verified head; never more of them than it states.

    Raises:
        Malformed: too many bytes, not one whole ZLIB stream, or of another length.
        SignatureInvalid: other bits than those that were signed.
    """
    if len(data) > MAX_COMPRESSED_BYTES:
        raise Malformed("a status list is larger than one can be")
    expected = bytes_of(head.entries)
    stream = zlib.decompressobj()
    try:
        # One byte more than fits shows a longer one, however long it would have become.
        bits = stream.decompress(data, expected + 1)
    except zlib.error as error:
        raise Malformed("a status list is not compressed as it must be") from error
    if len(bits) != expected or not stream.eof or stream.unused_data:
        raise Malformed("a status list has another length than its head says")
    if not hmac.compare_digest(sha256(bits), head.bits_sha256):
        raise SignatureInvalid("the status list's bits are not those that were signed")
    return bits


def restore(data: bytes) -> bytes:
    """Bits that `decompress` let through before."""
    return zlib.decompress(data)


def listed(bits: bytes, entries: int, index: int) -> Listed | None:
    """What the bits say at an index; None: they do not reach so far."""
    if not 0 <= index < entries:
        return None
    return Listed(bits[index // _PER_BYTE] >> 2 * (index % _PER_BYTE) & _MASK)


def set_listed(bits: bytearray, index: int, status: Listed) -> None:
    """Write one entry; the bits grow with zeros (`VALID`) to reach it."""
    at, shift = index // _PER_BYTE, 2 * (index % _PER_BYTE)
    if at >= len(bits):
        bits.extend(bytes(at + 1 - len(bits)))
    bits[at] = bits[at] & ~(_MASK << shift) | status << shift


def changed(old: bytes, new: bytes) -> list[int]:
    """Indices at which two lists differ, ascending; a shorter one counts as `VALID` beyond."""
    length = max(len(old), len(new))
    difference = int.from_bytes(old.ljust(length, b"\0"), "little") ^ int.from_bytes(
        new.ljust(length, b"\0"), "little"
    )
    if not difference:
        return []
    found: list[int] = []
    data = difference.to_bytes(length, "little")
    at = len(data) - len(data.lstrip(b"\0"))
    for position in range(at, len(data)):
        if data[position]:
            entry = position * _PER_BYTE
            found.extend(
                entry + slot for slot in range(_PER_BYTE) if data[position] >> 2 * slot & _MASK
            )
    return found
