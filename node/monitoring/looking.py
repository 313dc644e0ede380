"""Looks at people who are watched over, when it is time or there are new signals.

Of each monitor that is due:

  1. its subject is still known and its consent still grants `monitor` to this node, else it ends
     (what passes, such as a pause, only puts it off);
  2. other holders that the consent names are asked again, for this purpose alone: what was released
     for a score is not read here;
  3. in one transaction: the consent once more, now that holders were asked; the look; what changed
     since the last (`node.monitoring.rules`); a use where this node is a holder; a leaf for the
     look and one for each event; the webhooks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from consent.policy import Terms
from consent.refusals import ReleaseRefused
from models.catalogue import SignalStatus
from node.exchange.lenders import counted
from node.exchange.report import FetchReport, HolderReport
from node.monitoring.rules import Baseline, Look, Noticed, compare, figures_of
from node.monitoring.service import PURPOSE, Monitors, RestsOn
from node.scoring.active_model import ActiveModel
from node.scoring.consent import Granted, ScoreConsent
from node.scoring.evaluation import merge
from node.scoring.sources import AskedUnder, ScoreSources
from node.storage import monitors as storage
from node.storage import subjects
from node.storage.monitors import ACTIVE, EventRow, MonitorRow
from node.storage.signals import Signals, matrix
from node.storage.subjects import Subject, UnknownSubject
from node.webhooks.service import Webhooks
from protocols.directory import Directory
from protocols.errors import CredenceError, Unavailable
from protocols.identifiers import new_id

AT_ONCE = 64
AGAIN_MS = 600_000
"""After what hinders only for a while."""

log = structlog.get_logger("node.monitoring")


class NothingSaid(Unavailable):
    """No institution says anything about the person now."""

    code = "monitor_nothing_said"
    next_step = "Nothing to do: it is looked again."


class Fetcher(Protocol):
    """The recipient's side of the exchange; `node.exchange.client.ExchangeClient` is one."""

    def fetch(
        self, people: Sequence[AskedUnder], *, purpose: str, deadline_s: float
    ) -> FetchReport:
        """Ask the holders and keep what comes."""
        ...


class Looking:
    """Works off monitors that are due; one at a time calls `step`."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        monitors: Monitors,
        consent: ScoreConsent,
        sources: ScoreSources,
        model: ActiveModel,
        fetcher: Fetcher,
        directory: Callable[[], Directory],
        webhooks: Webhooks,
        member_id: str,
        deadline_s: float,
        every_ms: int,
        now_ms: Callable[[], int],
        admit: Callable[[], None],
    ) -> None:
        self._database = database
        self._audit = audit
        self._monitors = monitors
        self._consent = consent
        self._sources = sources
        self._model = model
        self._fetcher = fetcher
        self._directory = directory
        self._webhooks = webhooks
        self._member_id = member_id
        self._deadline_s = deadline_s
        self._every_ms = every_ms
        self._now_ms = now_ms
        self._admit = admit

    def step(self) -> int:
        """Look after those that are due; how many.

        Raises:
            LogUnwitnessed, LogQuarantined: the log is not witnessed well enough; nothing is done.
        """
        with self._database.read() as connection:
            due = storage.due(connection, self._now_ms(), AT_ONCE)
        if not due:
            return 0
        self._admit()
        asked = [person for row in due if (person := self._settled(row, self._to_ask)) is not None]
        people = [person for person in asked if person.holders]
        if people:  # 2
            self._fetcher.fetch(people, purpose=PURPOSE, deadline_s=self._deadline_s)
        under = {person.consent_id for person in asked}
        for row in due:
            if row.consent_id in under:
                self._settled(row, self._look)
        return len(due)

    def _settled(
        self, row: MonitorRow, act: Callable[[Connection, MonitorRow], AskedUnder | None]
    ) -> AskedUnder | None:
        """Do something with a monitor in a transaction; what stands against it puts it off."""
        try:
            with self._database.write() as connection:
                current = storage.find(connection, row.monitor_id)
                if current is None or current.state != ACTIVE:
                    return None
                return act(connection, current)
        except CredenceError as error:
            self._hindered(row, error)
            return None

    def _hindered(self, row: MonitorRow, error: CredenceError) -> None:
        final = isinstance(error, ReleaseRefused | UnknownSubject) and not error.retryable
        final = final and error.code not in _PASSING
        with self._database.write() as connection:
            current = storage.find(connection, row.monitor_id)
            if current is None or current.state != ACTIVE:
                return
            if final:
                self._monitors.end(connection, current, error.code)
                return
            again_ms = self._now_ms() + min(AGAIN_MS, self._every_ms)
            storage.change(connection, row.monitor_id, due_at_ms=again_ms, hindered_by=error.code)

    def _granted(self, connection: Connection, row: MonitorRow) -> tuple[Subject, Granted]:
        subject = subjects.by_ref(connection, row.subject_ref)
        rests_on = RestsOn(row.consent_id)
        return subject, self._consent.check(connection, subject, rests_on, self._now_ms())

    def _readable(self, connection: Connection, granted: Granted) -> dict[str, frozenset[str]]:
        catalogue = self._model.get(connection).encoder.catalogue
        return self._sources.readable(granted.terms, granted.decision, catalogue)

    def _to_ask(self, connection: Connection, row: MonitorRow) -> AskedUnder:
        _, granted = self._granted(connection, row)  # 1
        terms = granted.terms
        others = self._sources.others(self._readable(connection, granted))
        return AskedUnder(terms.consent_id, terms.consent_hash, terms.pseudonym, others)

    def _look(self, connection: Connection, row: MonitorRow) -> None:  # 3
        now_ms = self._now_ms()
        subject, granted = self._granted(connection, row)
        readable = self._readable(connection, granted)
        kept = self._sources.kept_of(connection, [subject.pseudonym], now_ms)
        reports: Mapping[str, HolderReport] = {}
        found = self._sources.contributions(readable, kept.under(granted.terms, PURPOSE), reports)
        merged = merge(found)
        said = tuple(sorted(one.source for one in found if _speaks(one.said)))
        look = self._seen(connection, merged, said, granted.terms)
        baseline, noticed = compare(Baseline.parse(row.baseline), look, row.thresholds)
        self._consent.use(connection, [granted])
        wanted = [one for one in noticed if one.event in row.events]
        self._note(connection, row, subject, look, wanted)
        storage.change(
            connection,
            row.monitor_id,
            baseline=baseline.to_text(),
            due_at_ms=now_ms + self._every_ms,
            looked_at_ms=now_ms,
            hindered_by="",
        )

    def _seen(
        self, connection: Connection, merged: Signals, sources: tuple[str, ...], terms: Terms
    ) -> Look:
        if not sources:
            raise NothingSaid("no institution says anything about this person now")
        scorer = self._model.get(connection)
        heard = storage.lenders(connection, terms.consent_id, self._now_ms())
        status, value = matrix([merged], [spec.id for spec in scorer.encoder.catalogue.signals])
        scores = scorer.score(status, value)
        return Look(
            points=int(scores.points[0]),
            model=scorer.bundle.version,
            sources=sources,
            figures=figures_of(merged),
            lenders=counted(heard, terms, self._member_id, self._directory()),
            lenders_by=tuple(sorted(heard)),
        )

    def _note(
        self,
        connection: Connection,
        row: MonitorRow,
        subject: Subject,
        look: Look,
        noticed: Sequence[Noticed],
    ) -> None:
        now_ms = self._now_ms()
        said = {"model": look.model, "sources": list(look.sources), "events": len(noticed)}
        entries = [self._entry("monitor.looked", row, subject, said, now_ms)]
        entries += [
            self._entry("monitor.noticed", row, subject, {"event": one.event, **one.detail}, now_ms)
            for one in noticed
        ]
        _, *leaves = self._audit.append_many(connection, entries)
        for one, leaf in zip(noticed, leaves, strict=True):
            event = EventRow(new_id("mev"), row.monitor_id, one.event, one.detail, now_ms, leaf.seq)
            storage.add_event(connection, event)
            told = {
                "monitor_id": row.monitor_id,
                "event_id": event.event_id,
                "subject": row.subject_ref,
                "consent_id": row.consent_id,
            }
            self._webhooks.emit(
                connection, row.client_id, f"monitor.{one.event}", told, consent_id=row.consent_id
            )

    def _entry(
        self, kind: str, row: MonitorRow, subject: Subject, said: Mapping[str, object], now_ms: int
    ) -> Entry:
        return Entry(
            kind=kind,
            actor=self._member_id,
            purpose=PURPOSE,
            correlation=row.monitor_id,
            payload=said,
            subject=subject.pseudonym,
            at_ms=now_ms,
        )


def _speaks(said: Signals) -> bool:
    return any(status in _SAYS for status, _ in said.values())


_SAYS = frozenset({int(SignalStatus.PRESENT), int(SignalStatus.NONE_ON_RECORD)})
# Refusals that are not marked as retryable for a single call, but pass for somebody who waits.
_PASSING = frozenset({"subject_frozen", "requester_not_active"})
