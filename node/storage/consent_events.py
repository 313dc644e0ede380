"""What happened to a consent, in order; and withdrawals that overtook their consent."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, select

from audit.database import Connection
from consent.lifecycle import Event
from node.storage.tables import consent_event, consent_tombstone

IN_LIST = 500  # bound parameters a statement; every database takes this many


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One thing that happened; `evidence` is its JWS where there is one beside the artefact."""

    consent_id: str
    event: Event
    actor: str
    at_ms: int
    leaf_seq: int
    evidence: bytes | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One thing that happened, with its number at this node."""

    event_id: int
    event: Event
    actor: str
    at_ms: int
    leaf_seq: int


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A withdrawal that arrived before its consent."""

    consent_id: str
    controller: str
    evidence: bytes
    at_ms: int


def add_events(connection: Connection, events: Sequence[NewEvent]) -> list[int]:
    """Record events in order; their numbers, in the same order."""
    rows = [
        {
            "consent_id": one.consent_id,
            "event": one.event.value,
            "actor": one.actor,
            "at_ms": one.at_ms,
            "leaf_seq": one.leaf_seq,
            "evidence": one.evidence,
        }
        for one in events
    ]
    if not rows:
        return []
    statement = insert(consent_event).returning(
        consent_event.c.event_id, sort_by_parameter_order=True
    )
    return list(connection.execute(statement, rows).scalars())


def events_of(connection: Connection, consent_id: str) -> list[StoredEvent]:
    """What happened to a consent, in order."""
    query = select(consent_event).where(consent_event.c.consent_id == consent_id)
    return [
        StoredEvent(row.event_id, Event(row.event), row.actor, row.at_ms, row.leaf_seq)
        for row in connection.execute(query.order_by(consent_event.c.event_id))
    ]


def event_times(connection: Connection, consent_ids: Iterable[str], event: Event) -> dict[str, int]:
    """When `event` last happened to each consent, by consent id."""
    found: dict[str, int] = {}
    for chunk in _chunks(consent_ids):
        query = (
            select(consent_event.c.consent_id, func.max(consent_event.c.at_ms))
            .where(consent_event.c.consent_id.in_(chunk), consent_event.c.event == event.value)
            .group_by(consent_event.c.consent_id)
        )
        found.update({one: int(at_ms) for one, at_ms in connection.execute(query)})
    return found


def newest_evidence(connection: Connection, consent_ids: Iterable[str]) -> dict[str, bytes]:
    """What was last said about each consent, as it was signed, by consent id."""
    found: dict[str, bytes] = {}
    for chunk in _chunks(consent_ids):
        query = (
            select(consent_event.c.consent_id, consent_event.c.evidence)
            .where(consent_event.c.consent_id.in_(chunk), consent_event.c.evidence.is_not(None))
            .order_by(consent_event.c.event_id)
        )
        found.update({row.consent_id: row.evidence for row in connection.execute(query)})
    return found


def add_tombstone(connection: Connection, tombstone: Tombstone) -> int:
    """Remember a withdrawal whose consent is not here; since when it is remembered."""
    since = tombstones(connection, tombstone.controller, [tombstone.consent_id])
    if tombstone.consent_id in since:
        return since[tombstone.consent_id]
    connection.execute(
        insert(consent_tombstone).values(
            consent_id=tombstone.consent_id,
            controller=tombstone.controller,
            evidence=tombstone.evidence,
            at_ms=tombstone.at_ms,
        )
    )
    return tombstone.at_ms


def tombstones(
    connection: Connection, controller: str, consent_ids: Iterable[str]
) -> dict[str, int]:
    """Which of a controller's consents were withdrawn before they arrived, and when."""
    found: dict[str, int] = {}
    for chunk in _chunks(consent_ids):
        query = select(consent_tombstone.c.consent_id, consent_tombstone.c.at_ms).where(
            consent_tombstone.c.controller == controller,
            consent_tombstone.c.consent_id.in_(chunk),
        )
        found.update({row.consent_id: row.at_ms for row in connection.execute(query)})
    return found


def _chunks(items: Iterable[str]) -> Iterator[Sequence[str]]:
    ordered = sorted(set(items))
    for start in range(0, len(ordered), IN_LIST):
        yield ordered[start : start + IN_LIST]
