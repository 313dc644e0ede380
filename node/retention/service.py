"""Runs the schedules, places and releases legal holds.

1. A run is one transaction with its leaf: either all that was due is gone and the log says how
   much, or nothing happened. Files of records are replaced before it commits, and put back when it
   does not. Running again finds nothing more to do.
2. What a hold keeps is not deleted, whatever its period; placing and releasing one has a leaf, and
   a hold on a person is a leaf about that person.
3. Nobody is named in the leaf of a run: classes and counts.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.retention.calendar import day_of, end_of, newest_over
from node.retention.schedule import SCHEDULE, RecordClass
from node.storage import retention as rows
from node.storage import subjects
from node.storage.retention import Hold, RunRow
from protocols.errors import InvalidInput
from protocols.identifiers import new_id

if TYPE_CHECKING:
    from node.retention.records import Kept

PURPOSE = "retention"
OPERATOR, SCHEDULED = "operator", "schedule"
MAX_AUTHORITY = 200
Counts = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Overview:
    """Schedules with what is due now: class -> (due, of these held back); holds; runs."""

    due: Counts
    holds: tuple[Hold, ...]
    runs: tuple[RunRow, ...]


class RetentionService:
    """The schedules of one node; thread-safe.

    Args:
        database: the node's.
        audit: its log.
        records: directory of the institution's records.
        clock: UTC milliseconds.
    """

    def __init__(
        self, database: Database, audit: AuditLog, records: Path, clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._audit = audit
        self._records = records
        self._clock = clock

    def run(self, actor: str = OPERATOR) -> RunRow:
        """Delete what is due and not held (1).

        Raises:
            RecordsUnwritable: the records cannot be replaced; nothing was deleted.
        """
        now_ms = self._clock()
        with self._replacing_records(now_ms) as replace, self._database.write() as connection:
            counts = {
                one.value: rows.act(connection, one, SCHEDULE[one].action, _until(one, now_ms))
                for one in SCHEDULE
                if one in rows.IN_DATABASE
            }
            made = RunRow(new_id("ret"), actor, now_ms, counts | replace(connection))
            rows.add_run(connection, made)
            said = {name: list(pair) for name, pair in made.counts.items() if any(pair)}
            self._log(connection, "retention.run", actor, made.run_id, {"counts": said})
        return made

    def run_if_due(self) -> RunRow | None:
        """The day's run, once a day in UTC+8; None: it was made."""
        with self._database.read() as connection:
            last = rows.runs(connection, limit=1)
        if last and day_of(last[0].at_ms) >= day_of(self._clock()):
            return None
        return self.run(SCHEDULED)

    def overview(self, connection: Connection) -> Overview:
        """What is due, held and done, in the caller's transaction."""
        now_ms = self._clock()
        due = {
            one.value: rows.due(connection, one, _until(one, now_ms))
            for one in SCHEDULE
            if one in rows.IN_DATABASE
        }
        return Overview(
            due | self._records_due(connection, now_ms),
            tuple(rows.holds(connection)),
            tuple(rows.runs(connection)),
        )

    def hold(
        self, authority: str, *, customer: str | None = None, record_class: str = "",
        actor: str = OPERATOR,
    ) -> Hold:  # fmt: skip
        """Keep records from deletion until the hold is released (2).

        Args:
            authority: who asks for it, and the file's number.
            customer: customer number; None: everybody.
            record_class: one class of records; empty: all of them.
            actor: who places it, as leaves name them.

        Raises:
            InvalidInput: no authority, or a class that there is not.
            UnknownSubject: nobody by that customer number.
        """
        if record_class and record_class not in set(RecordClass):
            raise InvalidInput(f"a class of records is one of {', '.join(RecordClass)}")
        text = " ".join(authority.split())
        if not text or len(text) > MAX_AUTHORITY or not text.isprintable():
            raise InvalidInput(f"an authority is 1 to {MAX_AUTHORITY} printable characters")
        with self._database.write() as connection:
            person = None if customer is None else subjects.by_customer(connection, customer)
            pseudonym = None if person is None else person.pseudonym
            made = Hold(new_id("hld"), pseudonym, record_class, text, actor, self._clock())
            rows.add_hold(connection, made)
            facts = {"record_class": record_class, "authority": text}
            self._log(connection, "retention.held", actor, made.hold_id, facts, pseudonym)
        return made

    def release(self, hold_id: str, actor: str = OPERATOR) -> Hold:
        """End a hold; what is due goes with the next run.

        Raises:
            HoldUnknown, HoldReleased: it is not there, or not any more.
        """
        with self._database.write() as connection:
            ended = rows.release(connection, hold_id, actor, self._clock())
            self._log(connection, "retention.released", actor, hold_id, {}, ended.pseudonym)
        return ended

    @contextmanager
    def _replacing_records(self, now_ms: int) -> Iterator[Callable[[Connection], Counts]]:
        """Gives what replaces the records inside a transaction; an exception puts them back.

        The outer one of the two contexts: a commit that fails, too, puts the old files back.
        """
        with ExitStack() as stack:

            def replace(connection: Connection) -> Counts:
                if not self._has_records:
                    return {}
                from node.records.store import RecordStore

                kept = self._without_due(connection, now_ms)
                if kept.changed:
                    staged = stack.enter_context(RecordStore(self._records).staged(kept.records))
                    staged.publish()
                return {name.value: pair for name, pair in kept.counts.items()}

            yield replace

    @property
    def _has_records(self) -> bool:
        return (self._records / "customers.parquet").exists()

    def _records_due(self, connection: Connection, now_ms: int) -> Counts:
        if not self._has_records:
            return {}
        kept = self._without_due(connection, now_ms)
        return {name.value: pair for name, pair in kept.counts.items()}

    def _without_due(self, connection: Connection, now_ms: int) -> "Kept":
        # pyarrow takes a moment to load; only a run needs it.
        from node.records.store import RecordStore
        from node.retention.records import without_due

        held = {
            one: rows.held_customers(connection, one)
            for one in (RecordClass.LATE_STATEMENT, RecordClass.PUBLIC_RECORD)
        }
        return without_due(RecordStore(self._records).load(), day_of(now_ms), held)

    def _log(
        self,
        connection: Connection,
        kind: str,
        actor: str,
        correlation: str,
        payload: Mapping[str, object],
        subject: bytes | None = None,
    ) -> None:
        entry = Entry(
            kind=kind,
            actor=actor,
            purpose=PURPOSE,
            correlation=correlation,
            payload=payload,
            subject=subject,
            at_ms=self._clock(),
        )
        self._audit.append(connection, entry)


def _until(record_class: RecordClass, now_ms: int) -> int:
    """Records from before this moment are due."""
    return end_of(newest_over(SCHEDULE[record_class].period, day_of(now_ms)))
