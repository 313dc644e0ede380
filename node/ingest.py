"""Raw records become this node's subjects, signals and outcomes, all or nothing.

The steps: 1 read the source; 2 clean; 3 compute signals; 4 pseudonyms; 5 write the records beside
the store; then in one transaction 6 replace subjects, own signals and outcomes, 7 append the audit
leaf (counts and file hashes, nothing about people), 8 rename the records in. An error anywhere
leaves database, log and records as they were. An ingest is a full snapshot: whom it does not name
this node no longer knows. Of whom was erased here it takes the line in `customers` alone, of whom
is restricted no outcome (`node.rights.deletion`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from models.catalogue import Catalogue
from node.enrolment.pseudonyms import Progress, Pseudonyms
from node.records.cleaning import Records, clean
from node.records.connectors import CsvDirectory, RawTable, RecordSource
from node.records.store import RecordStore
from node.rights import corrections, deletion
from node.signals.compute import SignalMatrix, compute
from node.signals.windows import AsOf
from node.storage import marks, monitors, outcomes, pseudonyms, signals, subjects
from node.storage.marks import MarkKind
from node.storage.outcomes import Outcome
from node.storage.signals import OWN, SignalVector
from node.storage.subjects import Subject
from protocols.identifiers import new_id

STAGES = ("read", "clean", "signals", "pseudonyms", "store")


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        as_of_ms: the moment the signals are for.
        rows: rows by table.
        sha256: hex hash of each file, by table.
        subjects: people now known.
        outcomes: labels now known.
        signals: held signal id -> {"present": n, "none_on_record": n}.
        audit_seq: sequence number of the audit leaf.
    """

    as_of_ms: int
    rows: Mapping[str, int]
    sha256: Mapping[str, str]
    subjects: int
    outcomes: int
    signals: Mapping[str, Mapping[str, int]]
    audit_seq: int


class IngestService:
    """Ingests the records of one institution into its node."""

    def __init__(
        self,
        *,
        member_id: str,
        database: Database,
        audit: AuditLog,
        pseudonyms: Pseudonyms,
        catalogue: Catalogue,
        store: RecordStore,
    ) -> None:
        self._member_id = member_id
        self._database = database
        self._audit = audit
        self._pseudonyms = pseudonyms
        self._catalogue = catalogue
        self._store = store

    def ingest_directory(
        self,
        directory: Path,
        *,
        now_ms: int,
        as_of_ms: int | None = None,
        progress: Callable[[str], None] | None = None,
        enrolling: Progress | None = None,
    ) -> IngestReport:
        """Ingest a directory of canonical CSV files; see `ingest`."""
        return self.ingest(
            CsvDirectory(directory),
            now_ms=now_ms,
            as_of_ms=as_of_ms,
            progress=progress,
            enrolling=enrolling,
        )

    def ingest(
        self,
        source: RecordSource,
        *,
        now_ms: int,
        as_of_ms: int | None = None,
        progress: Callable[[str], None] | None = None,
        enrolling: Progress | None = None,
    ) -> IngestReport:
        """Ingest everything a source holds.

        Args:
            source: where the raw records come from.
            now_ms: the time of the ingest.
            as_of_ms: every signal's window closes strictly before it; None: the end of the last
                statement month, or `now_ms` where there are no statements.
            progress: called with each of `STAGES` as it begins.
            enrolling: called with (done, to do) while people who are new here are enrolled.

        Raises:
            RecordsInvalid: the records are missing, malformed, wrong or doubled; nothing was
                written, and the message names file, line and column.
            RecordsUnwritable: the records directory cannot be written; nothing was written.
            NoPseudonymKey, TrusteesUnavailable: nobody new can be enrolled now; nothing was
                written but the pseudonyms that were made so far.
            DatabaseUnavailable: the database refused; nothing was written.
        """
        tell = progress or _silent
        tell("read")
        raw = source.read()  # 1
        tell("clean")
        records = clean(raw)  # 2
        tell("signals")
        as_of = _as_of(records, as_of_ms, now_ms)
        wanted = [spec.id for spec in self._catalogue.signals if spec.derived is None]
        matrix = compute(records, wanted, as_of)  # 3
        tell("pseudonyms")
        identifiers = records.customers["identifier"].to_pylist()
        names = self._pseudonyms.pseudonyms(identifiers, progress=enrolling)  # 4
        with self._database.read() as connection:
            erased = self._erased(connection, matrix, names)
        tell("store")
        records = records.without(erased)
        people = self._people(matrix, names, now_ms)
        vectors = self._vectors(matrix, names, as_of)
        labels = _labels(records, dict(zip(matrix.customer_ids, names, strict=True)))
        # The store's context is the outer one: a failing commit, too, puts the old files back.
        with self._store.staged(records) as staged, self._database.write() as connection:  # 5
            if late := self._erased(connection, matrix, names) - erased:
                # Erased while this ingest ran: what is brought is written once more, without them.
                records = records.without(late)
                staged.write(records)
            subjects.replace_all(connection, people)  # 6
            pseudonyms.forget_unknown(connection)
            signals.replace_own(connection, self._member_id, vectors)
            corrections.reapply(connection, self._member_id, now_ms)
            outcomes.replace_all(connection, labels)
            monitors.wake_all(connection)
            deletion.reapply(connection, self._member_id, self._catalogue, now_ms)
            labelled = outcomes.count(connection)
            report = self._report(connection, raw, matrix, labelled, as_of, now_ms)  # 7
            staged.publish()  # 8
        return report

    @staticmethod
    def _erased(connection: Connection, matrix: SignalMatrix, names: Sequence[bytes]) -> set[str]:
        """Customers whose data were deleted here, though the source still has them."""
        gone = marks.people_with(connection, MarkKind.ERASED)
        every = zip(matrix.customer_ids, names, strict=True)
        return {customer for customer, name in every if name in gone}

    def _people(self, matrix: SignalMatrix, names: Sequence[bytes], now_ms: int) -> list[Subject]:
        return [
            Subject(name, self._pseudonyms.subject_ref(name), customer, now_ms)
            for customer, name in zip(matrix.customer_ids, names, strict=True)
        ]

    def _vectors(
        self, matrix: SignalMatrix, names: Sequence[bytes], as_of: AsOf
    ) -> list[SignalVector]:
        version = self._catalogue.version
        return [
            SignalVector(name, self._member_id, OWN, as_of.at_ms, version, row)
            for name, row in zip(names, matrix.rows(), strict=True)
        ]

    def _report(
        self,
        connection: Connection,
        raw: Sequence[RawTable],
        matrix: SignalMatrix,
        labels: int,
        as_of: AsOf,
        now_ms: int,
    ) -> IngestReport:
        rows = {table.spec.name: table.columns.num_rows for table in raw}
        hashes = {table.spec.name: table.sha256 for table in raw}
        payload: dict[str, Any] = {
            "as_of_ms": as_of.at_ms,
            "catalogue_version": self._catalogue.version,
            "rows": rows,
            "sha256": hashes,
            "subjects": len(matrix.customer_ids),
            "outcomes": labels,
            "signals": list(matrix.held),
        }
        entry = Entry(
            kind="ingest",
            actor=self._member_id,
            purpose="",
            correlation=new_id("ing"),
            payload=payload,
            subject=None,
            at_ms=now_ms,
        )
        leaf = self._audit.append(connection, entry)
        return IngestReport(
            as_of_ms=as_of.at_ms,
            rows=rows,
            sha256=hashes,
            subjects=len(matrix.customer_ids),
            outcomes=labels,
            signals=matrix.counts(),
            audit_seq=leaf.seq,
        )


def _as_of(records: Records, as_of_ms: int | None, now_ms: int) -> AsOf:
    if as_of_ms is not None:
        return AsOf(as_of_ms)
    statements = records.get("statements")
    if statements is None or statements.num_rows == 0:
        return AsOf(now_ms)
    return AsOf.after(pc.max(statements["month"]).as_py())


def _labels(records: Records, names: Mapping[str, bytes]) -> list[Outcome]:
    table = records.get("outcomes")
    if table is None:
        return []
    columns = (table[name].to_pylist() for name in ("customer_id", "defaulted", "observed_on"))
    return [
        Outcome(names[customer], int(defaulted), _midnight_ms(observed_on))
        for customer, defaulted, observed_on in zip(*columns, strict=True)
    ]


def _midnight_ms(day: date) -> int:
    return int(datetime.combine(day, time(), tzinfo=UTC).timestamp() * 1000)


def _silent(_stage: str) -> None:
    """Report nothing."""
