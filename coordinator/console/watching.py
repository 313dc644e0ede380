"""What the console shows of watches: findings over time, alerts, schedules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.database import Connection
from coordinator.console.views import Alert
from coordinator.storage import schedules, watch
from coordinator.storage.schedules import ScheduleRow
from coordinator.storage.watch import AlertRow, ResultRow
from coordinator.watch.results import FORMAT
from models.drift import Estimate
from protocols.canonical import parse_json
from protocols.documents import MAX_DOCUMENT_BYTES
from protocols.errors import CredenceError

MOST = 60
KINDS = ("training", "watch")


@dataclass(frozen=True, slots=True)
class WatchLine:
    """What one watch found; an estimate is None where too few people were counted."""

    campaign_id: str
    bundle_version: str
    at_ms: int
    members: tuple[str, ...]
    epsilon: float
    people: float
    psi: Estimate | None
    ratio: Estimate
    auc: Estimate
    groups: tuple[Mapping[str, float], ...]
    signals: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class WatchPage:
    """Everything about watching.

    Attributes:
        lines: watches, the newest first.
        alerts: that are not cleared, the newest first.
        schedules: those that are set.
    """

    lines: tuple[WatchLine, ...]
    alerts: tuple[AlertRow, ...]
    schedules: tuple[ScheduleRow, ...]


def watch_page(connection: Connection) -> WatchPage:
    """Everything about watching, as stored."""
    found = (_line(row) for row in watch.results(connection, MOST))
    rows = (schedules.find(connection, kind) for kind in KINDS)
    return WatchPage(
        lines=tuple(one for one in found if one is not None),
        alerts=tuple(watch.open_alerts(connection)),
        schedules=tuple(row for row in rows if row is not None),
    )


def with_standing(seen: Sequence[Alert], standing: Sequence[AlertRow]) -> tuple[Alert, ...]:
    """What is seen now, and the alerts that stand; of two about the same, what is seen now."""
    known = {(one.kind, one.about) for one in seen}
    more = [
        Alert(one.rule, one.tone, one.about, one.number, one.detail)
        for one in standing
        if (one.rule, one.about) not in known
    ]
    return tuple(sorted([*seen, *more], key=lambda one: one.tone != "danger"))


def _line(row: ResultRow) -> WatchLine | None:
    try:
        body = parse_json(row.body, max_bytes=MAX_DOCUMENT_BYTES)
        found = body["findings"] if body["format"] == FORMAT else None
        return None if found is None else _read(row, body, found)
    except (CredenceError, KeyError, TypeError, ValueError):
        return None  # of another release: one old row must not take the whole page away


def _read(row: ResultRow, body: Mapping[str, Any], found: Mapping[str, Any]) -> WatchLine:
    return WatchLine(
        campaign_id=row.campaign_id,
        bundle_version=row.bundle_version,
        at_ms=row.at_ms,
        members=tuple(body["members"]),
        epsilon=float(body["epsilon"]),
        people=float(found["people"]),
        psi=None if found["psi"] is None else Estimate.from_json(found["psi"]),
        ratio=Estimate.from_json(found["ratio"]),
        auc=Estimate.from_json(found["auc"]),
        groups=tuple(found["groups"]),
        signals={name: Estimate.from_json(one) for name, one in found["signals"].items()},
    )
