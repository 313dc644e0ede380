"""What watches found, and alerts, as the coordinator keeps them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import insert, select, update

from audit.database import Connection
from coordinator.storage.watch_tables import watch_alert, watch_result

CLEARED = "cleared"


@dataclass(frozen=True)
class ResultRow:
    """What a watch found: `body`, `signature` and `key_id` are its signed document."""

    campaign_id: str
    bundle_version: str
    body: bytes
    signature: bytes
    key_id: str
    at_ms: int


@dataclass(frozen=True)
class AlertRow:
    """One alert.

    Attributes:
        rule: which rule raised it.
        about: what of: a model version, a member, a schedule.
        state: `raised`, `acknowledged` or `cleared`.
        tone: `warn` or `danger`.
        number: the figure that the rule is about, if any.
        detail: in words, for the operator.
        raised_at_ms, changed_at_ms: UTC milliseconds.
    """

    alert_id: str
    rule: str
    about: str
    state: str
    tone: str
    number: float | None
    detail: str
    raised_at_ms: int
    changed_at_ms: int


def add_result(connection: Connection, row: ResultRow) -> None:
    """Store what a watch found; there is one for a watch."""
    connection.execute(insert(watch_result).values(**asdict(row)))


def result(connection: Connection, campaign_id: str) -> ResultRow | None:
    """What a watch found, or None."""
    found = connection.execute(
        select(watch_result).where(watch_result.c.campaign_id == campaign_id)
    )
    row = found.mappings().one_or_none()
    return None if row is None else ResultRow(**row)


def first_results(connection: Connection, bundle_version: str, limit: int) -> list[ResultRow]:
    """What was found of a version first, the oldest first."""
    found = connection.execute(
        select(watch_result)
        .where(watch_result.c.bundle_version == bundle_version)
        .order_by(watch_result.c.at_ms, watch_result.c.campaign_id)
        .limit(limit)
    )
    return [ResultRow(**row) for row in found.mappings()]


def results(connection: Connection, limit: int) -> list[ResultRow]:
    """What was found last, the newest first."""
    found = connection.execute(
        select(watch_result)
        .order_by(watch_result.c.at_ms.desc(), watch_result.c.campaign_id)
        .limit(limit)
    )
    return [ResultRow(**row) for row in found.mappings()]


def add_alert(connection: Connection, row: AlertRow) -> None:
    """Store a new alert."""
    connection.execute(insert(watch_alert).values(**asdict(row)))


def change_alert(connection: Connection, alert_id: str, **values: Any) -> None:
    """Change columns of an alert."""
    connection.execute(
        update(watch_alert).where(watch_alert.c.alert_id == alert_id).values(**values)
    )


def alert(connection: Connection, alert_id: str) -> AlertRow | None:
    """The alert by that id, or None."""
    found = connection.execute(select(watch_alert).where(watch_alert.c.alert_id == alert_id))
    row = found.mappings().one_or_none()
    return None if row is None else _alert(row)


def open_alerts(connection: Connection) -> list[AlertRow]:
    """Alerts that are not cleared, the newest first."""
    found = connection.execute(
        select(watch_alert)
        .where(watch_alert.c.state != CLEARED)
        .order_by(watch_alert.c.raised_at_ms.desc(), watch_alert.c.alert_id)
    )
    return [_alert(row) for row in found.mappings()]


def alerts(connection: Connection, limit: int) -> list[AlertRow]:
    """Alerts that changed last, the newest first."""
    found = connection.execute(
        select(watch_alert)
        .order_by(watch_alert.c.changed_at_ms.desc(), watch_alert.c.alert_id)
        .limit(limit)
    )
    return [_alert(row) for row in found.mappings()]


def _alert(row: Mapping[Any, Any]) -> AlertRow:
    return AlertRow(**row)
