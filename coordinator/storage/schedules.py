"""Schedules as the coordinator keeps them."""

from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select

from audit.database import Connection
from coordinator.storage.watch_tables import schedule


@dataclass(frozen=True)
class ScheduleRow:
    """One schedule.

    Attributes:
        kind: what it proposes, `training` or `watch`.
        interval_ms: from one due time to the next.
        gap_ms: least time between two campaigns of the kind, whoever proposed them.
        template: JSON, what its plans are made from.
        on_drift: whether an alert of drift makes it due at once.
        due_at_ms: when it is due next; it moves only in the transaction that stores a campaign, or
            that takes a failed one into account.
        campaign_id: proposed last; empty: none yet.
        settled: whether that one's end has been taken into account.
        failures: campaigns in a row that completed nothing.
        detail: of the last of them.
    """

    kind: str
    interval_ms: int
    gap_ms: int
    template: str
    on_drift: bool
    due_at_ms: int
    campaign_id: str = ""
    settled: bool = True
    failures: int = 0
    detail: str = ""


def find(connection: Connection, kind: str) -> ScheduleRow | None:
    """The schedule of a kind, or None."""
    found = connection.execute(select(schedule).where(schedule.c.kind == kind))
    row = found.mappings().one_or_none()
    if row is None:
        return None
    return ScheduleRow(
        **{**row, "on_drift": bool(row["on_drift"]), "settled": bool(row["settled"])}
    )


def put(connection: Connection, row: ScheduleRow) -> None:
    """Store a schedule in place of the one of its kind."""
    remove(connection, row.kind)
    values = asdict(row) | {"on_drift": int(row.on_drift), "settled": int(row.settled)}
    connection.execute(insert(schedule).values(**values))


def remove(connection: Connection, kind: str) -> bool:
    """Take a schedule away; whether there was one."""
    return connection.execute(delete(schedule).where(schedule.c.kind == kind)).rowcount > 0
