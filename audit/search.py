"""Finds leaves by what they say openly: time, kind, institution. It opens no payload.

Leaves stand in the order of their commits, and a time is taken shortly before: so times are in
order but for a few minutes, and a range of them is found by bisection with that much to spare.
What is left is looked at leaf by leaf, so many at a time; a search that has to go further says
from where.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from audit.database import Connection
from audit.store import AuditLog, LeafNotFound, StoredLeaf
from audit.tables import audit_subject_index

PAGE = 50
MAX_SCANNED = 20_000
SLACK_MS = 15 * 60_000  # a clock that was set back moves leaves no further apart than this
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class LeafQuery:
    """What to look for; what is empty or None does not narrow it.

    Attributes:
        since_ms: not before this time.
        until_ms: before this time.
        kind: a kind such as `score.issued`, or the beginning of some, such as `score.`.
        institution: the actor, or what the leaf's correlation names.
        before: only leaves before this place in the log.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    kind: str = ""
    institution: str = ""
    before: int | None = None


@dataclass(frozen=True, slots=True)
class FoundLeaf:
    """The open fields of one leaf."""

    seq: int
    kind: str
    at_ms: int
    actor: str
    purpose: str
    correlation: str
    pc: str


@dataclass(frozen=True, slots=True)
class LeafPage:
    """Leaves, the newest first.

    Attributes:
        leaves: what was found.
        older: where to look on; None: nothing is left.
        size: of the log.
    """

    leaves: tuple[FoundLeaf, ...]
    older: int | None
    size: int


def search(log: AuditLog, connection: Connection, query: LeafQuery, limit: int = PAGE) -> LeafPage:
    """The newest leaves that fit."""
    size = log.head(connection).size
    start, stop = _range(log, connection, query, size)
    found: list[FoundLeaf] = []
    for scanned, stored in enumerate(_backwards(log, connection, start, stop)):
        if len(found) == limit or scanned == MAX_SCANNED:
            return LeafPage(tuple(found), stored.seq + 1, size)
        one = read_leaf(stored)
        if _fits(one, query):
            found.append(one)
    return LeafPage(tuple(found), None, size)


def leaf_at(log: AuditLog, connection: Connection, seq: int) -> StoredLeaf:
    """One leaf.

    Raises:
        LeafNotFound: there is none by that number.
    """
    found = list(log.leaves(connection, seq, seq + 1)) if seq >= 0 else []
    if not found:
        raise LeafNotFound(f"the log has no leaf {seq}")
    return found[0]


def read_leaf(stored: StoredLeaf) -> FoundLeaf:
    """The open fields of a stored leaf."""
    fields = json.loads(stored.leaf)
    return FoundLeaf(
        seq=stored.seq,
        kind=str(fields["kind"]),
        at_ms=int(fields["at_ms"]),
        actor=str(fields["actor"]),
        purpose=str(fields["purpose"]),
        correlation=str(fields["correlation"]),
        pc=str(fields["pc"]),
    )


def is_about_somebody(connection: Connection, seq: int) -> bool:
    """Whether a leaf is about a person, whoever it is."""
    query = select(audit_subject_index.c.seq).where(audit_subject_index.c.seq == seq).limit(1)
    return connection.execute(query).first() is not None


def _fits(one: FoundLeaf, query: LeafQuery) -> bool:
    kind = query.kind
    return (
        (query.since_ms is None or one.at_ms >= query.since_ms)
        and (query.until_ms is None or one.at_ms < query.until_ms)
        and (not kind or one.kind == kind or (kind.endswith(".") and one.kind.startswith(kind)))
        and (not query.institution or query.institution in {one.actor, one.correlation})
    )


def _backwards(
    log: AuditLog, connection: Connection, start: int, stop: int
) -> Iterator[StoredLeaf]:
    while stop > start:
        begin = max(start, stop - _CHUNK)
        yield from reversed(list(log.leaves(connection, begin, stop)))
        stop = begin


def _range(log: AuditLog, connection: Connection, query: LeafQuery, size: int) -> tuple[int, int]:
    stop = size if query.before is None else min(query.before, size)
    if query.until_ms is not None:
        stop = min(stop, _first_at(log, connection, query.until_ms + SLACK_MS, size))
    start = 0
    if query.since_ms is not None:
        start = _first_at(log, connection, query.since_ms - SLACK_MS, size)
    return start, stop


def _first_at(log: AuditLog, connection: Connection, at_ms: int, size: int) -> int:
    """The first leaf not before a time, by bisection."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if read_leaf(leaf_at(log, connection, middle)).at_ms < at_ms:
            low = middle + 1
        else:
            high = middle
    return low
