"""Monitors: begun and ended by clients, shown to them, ended with the consent they rest on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.monitoring.rules import DEFAULTS, EVENTS
from node.scoring.consent import ScoreConsent
from node.storage import monitors as storage
from node.storage import subjects
from node.storage.monitors import ACTIVE, ENDED, EventRow, MonitorRow
from node.webhooks.service import Webhooks
from protocols.errors import InvalidInput, NotFound, StateConflict
from protocols.identifiers import new_id
from protocols.webhook_types import ENDED as ENDED_MESSAGE

PURPOSE = "monitor"
MAX_MONITORS = 10_000
BY_CLIENT = "by_client"


class MonitorUnknown(NotFound):
    """This client has no monitor by that id."""

    code = "monitor_unknown"


class MonitorExists(StateConflict):
    """The client watches over this person under this consent already."""

    code = "monitor_exists"
    next_step = "Read that one, or end it first."


class TooManyMonitors(StateConflict):
    """The client has as many active monitors as it may have."""

    code = "monitors_exhausted"
    next_step = "End monitors that are not needed any more."


@dataclass(frozen=True, slots=True)
class RestsOn:
    """What a look rests on, for `ScoreConsent`."""

    consent_id: str
    purpose: str = PURPOSE


class Monitors:
    """Monitors of one node's clients; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        consent: ScoreConsent,
        webhooks: Webhooks,
        member_id: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._consent = consent
        self._webhooks = webhooks
        self._member_id = member_id
        self._now_ms = now_ms

    def begin(
        self,
        client_id: str,
        subject_ref: str,
        consent_id: str,
        events: Sequence[str],
        thresholds: Mapping[str, float],
    ) -> MonitorRow:
        """Watch over a person from now on.

        Args:
            client_id: who is told.
            subject_ref: the person, as this node refers to them.
            consent_id: a consent that grants `monitor` to this node.
            events: of `EVENTS`; empty: all of them.
            thresholds: of `DEFAULTS`, where they are to differ.

        Raises:
            UnknownSubject: nobody by that reference.
            ReleaseRefused: the consent does not allow it.
            InvalidInput: no such event or threshold.
            MonitorExists, TooManyMonitors: there are enough.
        """
        _check(events, thresholds)
        with self._database.write() as connection:
            now_ms = self._now_ms()
            subject = subjects.by_ref(connection, subject_ref)
            self._consent.check(connection, subject, RestsOn(consent_id), now_ms)
            if storage.active_of(connection, client_id, consent_id) is not None:
                raise MonitorExists("this person is watched over under this consent already")
            if storage.count_active(connection, client_id) >= MAX_MONITORS:
                raise TooManyMonitors(f"a client has at most {MAX_MONITORS} active monitors")
            row = MonitorRow(
                monitor_id=new_id("mon"),
                client_id=client_id,
                subject_ref=subject_ref,
                consent_id=consent_id,
                events=tuple(sorted(set(events) or EVENTS)),
                thresholds={**DEFAULTS, **thresholds},
                state=ACTIVE,
                ended_for="",
                baseline=None,
                due_at_ms=now_ms,
                looked_at_ms=None,
                hindered_by="",
                created_at_ms=now_ms,
                changed_at_ms=now_ms,
            )
            storage.add(connection, row)
            said = {"events": list(row.events), "consent_id": consent_id}
            self._log(connection, "monitor.begun", row, client_id, subject.pseudonym, said)
        return row

    def get(self, client_id: str, monitor_id: str) -> MonitorRow:
        """A monitor.

        Raises:
            MonitorUnknown: the client has none by that id.
        """
        with self._database.read() as connection:
            return self._own(connection, client_id, monitor_id)

    def events(self, client_id: str, monitor_id: str, *, before: int, limit: int) -> list[EventRow]:
        """What a monitor noticed, the newest first; a reading is logged.

        Raises:
            MonitorUnknown: the client has none by that id.
            ReleaseRefused: the consent does not allow it any more.
        """
        with self._database.write() as connection:
            row = self._own(connection, client_id, monitor_id)
            subject = subjects.by_ref(connection, row.subject_ref)
            asked = RestsOn(row.consent_id)
            self._consent.check_reading(connection, subject, asked, self._now_ms())
            found = storage.events(connection, monitor_id, before=before, limit=limit)
            said = {"events": len(found)}
            self._log(connection, "monitor.read", row, client_id, subject.pseudonym, said)
        return found

    def stop(self, client_id: str, monitor_id: str) -> None:
        """Watch no longer; a second time changes nothing.

        Raises:
            MonitorUnknown: the client has none by that id.
        """
        with self._database.write() as connection:
            row = self._own(connection, client_id, monitor_id)
            if row.state == ACTIVE:
                self.end(connection, row, BY_CLIENT)

    def end(self, connection: Connection, row: MonitorRow, cause: str) -> None:
        """End a monitor in the caller's transaction; the client is told, unless it was the client.

        Args:
            connection: a write transaction.
            row: the monitor, active.
            cause: stable code of what ended it.
        """
        now_ms = self._now_ms()
        storage.change(
            connection,
            row.monitor_id,
            state=ENDED,
            ended_for=cause,
            baseline=None,
            changed_at_ms=now_ms,
        )
        people = subjects.by_refs(connection, [row.subject_ref])
        subject = people.get(row.subject_ref)
        pseudonym = None if subject is None else subject.pseudonym
        actor = row.client_id if cause == BY_CLIENT else self._member_id
        self._log(connection, "monitor.ended", row, actor, pseudonym, {"cause": cause})
        if cause != BY_CLIENT:
            told = {
                "monitor_id": row.monitor_id,
                "subject": row.subject_ref,
                "consent_id": row.consent_id,
                "cause": cause,
            }
            self._webhooks.emit(connection, row.client_id, ENDED_MESSAGE, told)

    def _own(self, connection: Connection, client_id: str, monitor_id: str) -> MonitorRow:
        row = storage.find(connection, monitor_id)
        if row is None or row.client_id != client_id:
            raise MonitorUnknown("this client has no such monitor")
        return row

    def _log(
        self,
        connection: Connection,
        kind: str,
        row: MonitorRow,
        actor: str,
        pseudonym: bytes | None,
        said: Mapping[str, Any],
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=actor,
            purpose=PURPOSE,
            correlation=row.monitor_id,
            payload=said,
            subject=pseudonym,
            at_ms=self._now_ms(),
        )
        self._audit.append(connection, entry)


def _check(events: Sequence[str], thresholds: Mapping[str, float]) -> None:
    if not set(events) <= set(EVENTS):
        raise InvalidInput(f"events are of {', '.join(EVENTS)}")
    if not set(thresholds) <= set(DEFAULTS):
        raise InvalidInput(f"thresholds are of {', '.join(sorted(DEFAULTS))}")
    if any(not 0 < value < 1e12 for value in thresholds.values()):
        raise InvalidInput("a threshold is above 0")
