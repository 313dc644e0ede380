"""Monitors and what they noticed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, update

from audit.database import Connection
from node.storage.monitor_tables import lender_rows, monitor, monitor_event

ACTIVE, ENDED = "active", "ended"


@dataclass(frozen=True, slots=True)
class MonitorRow:
    """One monitor; `baseline` is JSON, None: nothing was looked at yet."""

    monitor_id: str
    client_id: str
    subject_ref: str
    consent_id: str
    events: tuple[str, ...]
    thresholds: Mapping[str, float]
    state: str
    ended_for: str
    baseline: str | None
    due_at_ms: int
    looked_at_ms: int | None
    hindered_by: str
    created_at_ms: int
    changed_at_ms: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """One thing that was noticed."""

    event_id: str
    monitor_id: str
    type: str
    detail: Mapping[str, Any]
    at_ms: int
    leaf_seq: int
    seq: int = 0


def add(connection: Connection, row: MonitorRow) -> None:
    """Store a new monitor."""
    values = {name: getattr(row, name) for name in MonitorRow.__slots__}
    values["events"] = " ".join(row.events)
    values["thresholds"] = json.dumps(dict(row.thresholds))
    connection.execute(insert(monitor).values(**values))


def find(connection: Connection, monitor_id: str) -> MonitorRow | None:
    """A monitor, or None."""
    query = select(monitor).where(monitor.c.monitor_id == monitor_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _row(row)


def active_of(connection: Connection, client_id: str, consent_id: str) -> MonitorRow | None:
    """The client's active monitor under a consent, or None."""
    query = select(monitor).where(
        monitor.c.client_id == client_id,
        monitor.c.consent_id == consent_id,
        monitor.c.state == ACTIVE,
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else _row(row)


def count_active(connection: Connection, client_id: str) -> int:
    """How many active monitors a client has."""
    query = select(func.count()).where(monitor.c.client_id == client_id, monitor.c.state == ACTIVE)
    return connection.execute(query).scalar_one()


def due(connection: Connection, now_ms: int, limit: int) -> list[MonitorRow]:
    """Active monitors that are due, the longest due first."""
    query = select(monitor).where(monitor.c.state == ACTIVE, monitor.c.due_at_ms <= now_ms)
    rows = connection.execute(
        query.order_by(monitor.c.due_at_ms, monitor.c.monitor_id).limit(limit)
    )
    return [_row(row) for row in rows.mappings()]


def change(connection: Connection, monitor_id: str, **values: Any) -> None:
    """Set columns of a monitor."""
    connection.execute(update(monitor).where(monitor.c.monitor_id == monitor_id).values(**values))


def wake_all(connection: Connection) -> None:
    """Let every active monitor look again: there are new signals."""
    connection.execute(update(monitor).where(monitor.c.state == ACTIVE).values(due_at_ms=0))


def forget_by_consent(connection: Connection, consent_id: str) -> None:
    """Delete what was derived under a consent that ended; its monitors are due, and will end."""
    mine = select(monitor.c.monitor_id).where(monitor.c.consent_id == consent_id)
    connection.execute(
        update(monitor_event).where(monitor_event.c.monitor_id.in_(mine)).values(detail="{}")
    )
    connection.execute(
        update(monitor).where(monitor.c.consent_id == consent_id).values(baseline=None, due_at_ms=0)
    )
    connection.execute(delete(lender_rows).where(lender_rows.c.consent_id == consent_id))


def put_lenders(
    connection: Connection, consent_id: str, holder: str, rows: bytes, expires_at_ms: int
) -> None:
    """Keep what a holder says of a person's lenders, blinded; what it said before goes."""
    connection.execute(
        delete(lender_rows).where(
            lender_rows.c.consent_id == consent_id, lender_rows.c.holder == holder
        )
    )
    connection.execute(
        insert(lender_rows).values(
            consent_id=consent_id, holder=holder, rows=rows, expires_at_ms=expires_at_ms
        )
    )


def lenders(connection: Connection, consent_id: str, now_ms: int) -> dict[str, bytes]:
    """What holders say of a person's lenders, by holder, while its data life lasts."""
    query = select(lender_rows.c.holder, lender_rows.c.rows).where(
        lender_rows.c.consent_id == consent_id, lender_rows.c.expires_at_ms > now_ms
    )
    return {row.holder: row.rows for row in connection.execute(query)}


def delete_expired_lenders(connection: Connection, now_ms: int) -> None:
    """Delete what is over its data life."""
    connection.execute(delete(lender_rows).where(lender_rows.c.expires_at_ms <= now_ms))


def delete_of_refs(connection: Connection, subject_refs: Select[tuple[str]]) -> None:
    """Delete monitors of people and what they noticed."""
    mine = select(monitor.c.monitor_id).where(monitor.c.subject_ref.in_(subject_refs))
    under = select(monitor.c.consent_id).where(monitor.c.subject_ref.in_(subject_refs))
    connection.execute(delete(lender_rows).where(lender_rows.c.consent_id.in_(under)))
    connection.execute(delete(monitor_event).where(monitor_event.c.monitor_id.in_(mine)))
    connection.execute(delete(monitor).where(monitor.c.subject_ref.in_(subject_refs)))


def add_event(connection: Connection, event: EventRow) -> None:
    """Store what was noticed."""
    connection.execute(
        insert(monitor_event).values(
            event_id=event.event_id,
            monitor_id=event.monitor_id,
            type=event.type,
            detail=json.dumps(dict(event.detail)),
            at_ms=event.at_ms,
            leaf_seq=event.leaf_seq,
        )
    )


def events(connection: Connection, monitor_id: str, *, before: int, limit: int) -> list[EventRow]:
    """What a monitor noticed, with a `seq` below `before`, the newest first."""
    query = select(monitor_event).where(
        monitor_event.c.monitor_id == monitor_id, monitor_event.c.seq < before
    )
    rows = connection.execute(query.order_by(monitor_event.c.seq.desc()).limit(limit))
    return [
        EventRow(
            row.event_id,
            row.monitor_id,
            row.type,
            json.loads(row.detail),
            row.at_ms,
            row.leaf_seq,
            row.seq,
        )
        for row in rows
    ]


def _row(values: Any) -> MonitorRow:
    fields = {name: values[name] for name in MonitorRow.__slots__}
    fields["events"] = tuple(values["events"].split())
    fields["thresholds"] = json.loads(values["thresholds"])
    return MonitorRow(**fields)
