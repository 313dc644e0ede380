"""The record of a release: its row and its audit leaf, the same on both sides of an exchange."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from audit.database import Connection
from audit.leaf import Entry
from audit.store import AuditLog
from node.storage import exchange as storage
from node.storage.exchange import Release
from protocols.v1.exchange_pb2 import RequestBody

# The kind of the leaf by direction and whether it was refused.
KINDS = {
    ("out", False): "exchange.released",
    ("out", True): "exchange.refused",
    ("in", False): "exchange.received",
    ("in", True): "exchange.declined",
}


@dataclass(frozen=True, slots=True)
class Act:
    """One subject's signals, released or refused.

    Attributes:
        direction: `out` at the holder, `in` at the recipient.
        peer: the other member.
        purpose: `score`, `train` or `monitor`.
        request_id: id of the request, in the leaves of both sides.
        request_hash: SHA-256 of the request body, in the payloads of both sides.
        consent_id: the consent; empty when the query was not about a consent known here.
        consent_hash: the consent that was named, 32 bytes.
        subject: the person, 32 bytes; None when the query was not truly about one.
        refusal: stable code, or empty.
        signals: ids of the signals that were answered.
        answered: `answer_mac`, the same in the payloads of both sides.
        at_ms: UTC milliseconds.
    """

    direction: Literal["in", "out"]
    peer: str
    purpose: str
    request_id: str
    request_hash: bytes
    consent_id: str
    consent_hash: bytes
    subject: bytes | None
    refusal: str
    signals: Sequence[str]
    answered: bytes
    at_ms: int


def answer_mac(request: RequestBody, request_hash: bytes, place: int, answer: bytes) -> bytes:
    """What both sides note of an answer, so that they can compare without showing it.

    HMAC-SHA256 under the request hash and the query's token. Values are few and could be guessed;
    the token stands in no log, so that not even who is shown a leaf of the same request can try.

    Args:
        request: the request.
        request_hash: SHA-256 of its bytes.
        place: of the query in it, from 0.
        answer: the `SubjectAnswer` that was sealed, serialized deterministically.
    """
    return hmac.digest(request_hash + request.queries[place].token, answer, "sha256")


class ReleaseRecorder:
    """Writes release records and their leaves inside the caller's transaction."""

    def __init__(self, member_id: str, audit: AuditLog) -> None:
        self._member_id = member_id
        self._audit = audit

    def record(self, connection: Connection, acts: Sequence[Act]) -> None:
        """Append a leaf and a row for each act, in order."""
        leaves = self._audit.append_many(connection, [self._entry(act) for act in acts])
        rows = [
            Release(
                direction=act.direction,
                request_id=act.request_id,
                consent_id=act.consent_id,
                peer=act.peer,
                purpose=act.purpose,
                refusal=act.refusal,
                signal_count=len(act.signals),
                at_ms=act.at_ms,
                leaf_seq=leaf.seq,
            )
            for act, leaf in zip(acts, leaves, strict=True)
        ]
        storage.record(connection, rows)

    def _entry(self, act: Act) -> Entry:
        return Entry(
            kind=KINDS[act.direction, bool(act.refusal)],
            actor=self._member_id,
            purpose=act.purpose,
            correlation=act.request_id,
            payload={
                "answered": act.answered.hex(),
                "consent_hash": act.consent_hash.hex(),
                "peer": act.peer,
                "refusal": act.refusal,
                "request_hash": act.request_hash.hex(),
                "signals": list(act.signals),
            },
            subject=act.subject,
            at_ms=act.at_ms,
        )
