"""Monitors and outcomes: what they give, and their operations as calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from api.sdk.making import Page, listed, new_key, nothing, page, post
from api.sdk.reading import read
from api.sdk.wire import Call

_MONITORS = "/v1/monitors"
_MONITOR = "/v1/monitors/{monitor_id}"
_OUTCOMES = "/v1/outcomes"


@dataclass(frozen=True, slots=True)
class Monitor:
    """A watch over a subject; `ended_for` says why it ended, `hindered_by` what stands against."""

    monitor_id: str
    subject: str
    consent_id: str
    events: tuple[str, ...]
    thresholds: Mapping[str, Any]
    state: str
    created_at_ms: int
    changed_at_ms: int
    ended_for: str = ""
    looked_at_ms: int | None = None
    hindered_by: str = ""


@dataclass(frozen=True, slots=True)
class MonitorEvent:
    """What a monitor noticed."""

    event_id: str
    event: str
    detail: Mapping[str, Any]
    at_ms: int
    at: str
    log_seq: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One version of what became of a loan."""

    outcome_id: str
    version: int
    score_id: str
    outcome: str
    as_of: str
    reported_at_ms: int
    log_seq: int


def create_monitor(
    subject: str,
    consent_id: str,
    *,
    events: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
    idempotency_key: str | None = None,
) -> Call[Monitor]:
    """Watch over a subject; no events: all of them."""
    body = {
        "subject": subject,
        "consent_id": consent_id,
        "events": list(events),
        "thresholds": dict(thresholds or {}),
    }
    key = idempotency_key or new_key()
    return post("createMonitor", _MONITORS, partial(read, Monitor), body, key=key)


def get_monitor(monitor_id: str) -> Call[Monitor]:
    """Read a monitor."""
    place = {"monitor_id": monitor_id}
    return Call("getMonitor", "GET", _MONITOR, partial(read, Monitor), place)


def end_monitor(monitor_id: str) -> Call[None]:
    """Watch no longer."""
    return Call("endMonitor", "DELETE", _MONITOR, nothing, {"monitor_id": monitor_id})


def list_monitor_events(
    monitor_id: str, *, limit: int = 50, cursor: str | None = None
) -> Call[Page[MonitorEvent]]:
    """What was noticed, the newest first."""
    query = {"limit": limit, "cursor": cursor}
    return Call("listMonitorEvents", "GET", f"{_MONITOR}/events", partial(page, MonitorEvent),
                {"monitor_id": monitor_id}, query)  # fmt: skip


def report_outcome(
    score_id: str,
    outcome: str,
    as_of: str,
    *,
    corrects: int | None = None,
    idempotency_key: str | None = None,
) -> Call[Outcome]:
    """Report what became of a loan as of a day, YYYY-MM-DD."""
    body = {"score_id": score_id, "outcome": outcome, "as_of": as_of, "corrects": corrects}
    key = idempotency_key or new_key()
    return post("reportOutcome", _OUTCOMES, partial(read, Outcome), body, key=key)


def get_outcome(outcome_id: str) -> Call[tuple[Outcome, ...]]:
    """All versions of what was reported of one loan, the oldest first."""
    return Call("getOutcome", "GET", f"{_OUTCOMES}/{{outcome_id}}", partial(listed, Outcome),
                {"outcome_id": outcome_id})  # fmt: skip
