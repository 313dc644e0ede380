"""The life of an alert, as a table; each change is one transaction with its audit leaf.

    raised        its condition holds, and nobody has said that it is seen
    acknowledged  an operator has seen it; the condition still holds
    cleared       the condition no longer holds; when it holds again, another alert is raised

A condition that gets worse, from a warning to a danger, raises an acknowledged alert once more.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol

from audit.database import Connection
from audit.leaf import Entry
from coordinator.storage import watch as rows
from coordinator.storage.watch import AlertRow
from protocols.errors import NotFound, StateConflict

State = Literal["raised", "acknowledged", "cleared"]
Event = Literal["acknowledge", "worsen", "clear"]
Tone = Literal["warn", "danger"]

TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        ("raised", "acknowledge"): "acknowledged",
        ("raised", "worsen"): "raised",
        ("raised", "clear"): "cleared",
        ("acknowledged", "worsen"): "raised",
        ("acknowledged", "clear"): "cleared",
    }
)
MAX_DETAIL = 400


class UnknownAlert(NotFound):
    """No alert by that id."""

    code = "unknown_alert"
    next_step = "See them with `credence coordinator watch show HOME`."


class AlertTransitionInvalid(StateConflict):
    """An alert is not in a state that allows this."""

    code = "alert_transition_invalid"
    next_step = "See its state with `credence coordinator watch show HOME`."


@dataclass(frozen=True)
class Condition:
    """What a rule sees now.

    Attributes:
        rule: its name.
        about: a model version, a member, a schedule.
        tone: how bad it is.
        number: the figure, if there is one.
        detail: in words.
    """

    rule: str
    about: str
    tone: Tone
    number: float | None = None
    detail: str = ""


class Log(Protocol):
    """The part of the audit log that is used here."""

    def append(self, connection: Connection, entry: Entry) -> Any:
        """Append an entry in the caller's transaction."""


def advance(state: State, event: Event) -> State:
    """The state that follows.

    Raises:
        AlertTransitionInvalid: the table has no such row.
    """
    try:
        return TRANSITIONS[(state, event)]
    except KeyError:
        raise AlertTransitionInvalid(f"an alert that is {state} cannot {event}") from None


@dataclass(frozen=True)
class Alerts:
    """Raises, keeps and clears alerts, in the caller's transaction.

    Attributes:
        audit: the coordinator's log.
        actor: who acts in the log.
    """

    audit: Log
    actor: str

    def settle(
        self,
        connection: Connection,
        looked_at: Collection[str],
        found: Iterable[Condition],
        now_ms: int,
    ) -> list[AlertRow]:
        """Make the alerts of some rules those of what was found.

        Args:
            connection: of a write transaction.
            looked_at: names of the rules that were looked at: an alert of theirs whose condition
                was not found is cleared; alerts of other rules stay.
            found: all conditions of these rules.
            now_ms: UTC milliseconds.

        Returns:
            Alerts that were raised, anew or again.
        """
        known = {(row.rule, row.about): row for row in rows.open_alerts(connection)}
        raised, held = [], set()
        for one in found:
            key = (one.rule, one.about)
            if key in held:
                continue
            held.add(key)
            row = known.get(key)
            if row is None:
                raised.append(self._raise(connection, one, now_ms))
            elif row.tone == "warn" and one.tone == "danger":
                raised.append(self._worsen(connection, row, one, now_ms))
            elif (row.tone, row.number, row.detail) != (one.tone, one.number, one.detail):
                rows.change_alert(
                    connection, row.alert_id, tone=one.tone, number=one.number,
                    detail=one.detail[:MAX_DETAIL],
                )  # fmt: skip
        for key, row in known.items():
            if key not in held and row.rule in looked_at:
                self._move(connection, row, "clear", now_ms)
        return raised

    def acknowledge(self, connection: Connection, alert_id: str, now_ms: int) -> AlertRow:
        """An operator has seen it.

        Raises:
            UnknownAlert: there is none by that id.
            AlertTransitionInvalid: it is acknowledged or cleared already.
        """
        row = rows.alert(connection, alert_id)
        if row is None:
            raise UnknownAlert(f"no alert {alert_id}")
        return self._move(connection, row, "acknowledge", now_ms)

    def _raise(self, connection: Connection, one: Condition, now_ms: int) -> AlertRow:
        row = AlertRow(
            alert_id=f"alert-{secrets.token_hex(5)}",
            rule=one.rule,
            about=one.about[:120],
            state="raised",
            tone=one.tone,
            number=one.number,
            detail=one.detail[:MAX_DETAIL],
            raised_at_ms=now_ms,
            changed_at_ms=now_ms,
        )
        rows.add_alert(connection, row)
        self._log(connection, "alert.raised", row, now_ms)
        return row

    def _worsen(
        self, connection: Connection, row: AlertRow, one: Condition, now_ms: int
    ) -> AlertRow:
        rows.change_alert(
            connection, row.alert_id, tone=one.tone, number=one.number,
            detail=one.detail[:MAX_DETAIL],
        )  # fmt: skip
        return self._move(connection, row, "worsen", now_ms)

    def _move(self, connection: Connection, row: AlertRow, event: Event, now_ms: int) -> AlertRow:
        state = advance(row.state, event)  # type: ignore[arg-type] # a state we stored
        rows.change_alert(connection, row.alert_id, state=state, changed_at_ms=now_ms)
        moved = rows.alert(connection, row.alert_id)
        if moved is None:
            raise UnknownAlert(f"no alert {row.alert_id}")
        self._log(connection, f"alert.{state}", moved, now_ms)
        return moved

    def _log(self, connection: Connection, kind: str, row: AlertRow, now_ms: int) -> None:
        facts = {
            "alert_id": row.alert_id,
            "rule": row.rule,
            "about": row.about,
            "tone": row.tone,
            "number": row.number,
            "detail": row.detail,
        }
        entry = Entry(
            kind=kind,
            actor=self.actor,
            purpose="",
            correlation=row.alert_id,
            payload=facts,
            subject=None,
            at_ms=now_ms,
        )
        self.audit.append(connection, entry)
