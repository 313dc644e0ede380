"""The node's copy of its records: one Parquet file a table, replaced as a whole.

New files are written into a temporary directory beside the store and renamed in. `staged` lets the
rename ride inside a database transaction: whatever fails before the end puts the old files back.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from node.records.cleaning import Records
from node.records.errors import RecordsMissing, RecordsUnwritable
from node.records.schema import TABLES

TEMPORARY_PREFIX = ".records-"
LEFTOVER_AGE_S = 3600  # older temporary directories are what a crash left


class StagedRecords:
    """New files that wait beside the store."""

    def __init__(self, store: Path, temporary: Path) -> None:
        self._store = store
        self._new = temporary / "new"
        self._previous = temporary / "previous"
        self._published = False

    def write(self, records: Records) -> None:
        """Write the files and flush them to the disk."""
        self._new.mkdir(mode=0o700, exist_ok=True)  # written anew where something changed since
        for name, table in records.tables.items():
            with (self._new / f"{name}.parquet").open("wb") as stream:
                pq.write_table(table, stream, compression="zstd")
                stream.flush()
                os.fsync(stream.fileno())

    def publish(self) -> None:
        """Put the new files in the place of the old ones.

        Raises:
            RecordsUnwritable: the directory cannot be replaced.
        """
        try:
            if self._store.exists():
                self._store.rename(self._previous)
            self._new.rename(self._store)
        except OSError as error:
            self._restore()
            raise _unwritable(self._store, error) from error
        self._published = True

    def withdraw(self) -> None:
        """Put the old files back if the new ones were published."""
        if self._published:
            self._store.rename(self._new)
            self._restore()
            self._published = False

    def _restore(self) -> None:
        if self._previous.exists():
            self._previous.rename(self._store)


class RecordStore:
    """The Parquet files of one node."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def staged(self, records: Records) -> Iterator[StagedRecords]:
        """Write `records` beside the store; the caller publishes, an exception undoes it.

        Raises:
            RecordsUnwritable: the directory cannot be written.
        """
        temporary = self._temporary()
        try:
            staged = StagedRecords(self._directory, temporary)
            try:
                staged.write(records)
            except OSError as error:
                raise _unwritable(self._directory, error) from error
            try:
                yield staged
            except BaseException:
                staged.withdraw()
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def load(self) -> Records:
        """Read what was published last.

        Raises:
            RecordsMissing: nothing was ingested yet.
        """
        self._recover()
        paths = {spec.name: self._directory / f"{spec.name}.parquet" for spec in TABLES}
        if not paths["customers"].exists():
            raise RecordsMissing(
                "this node has no records",
                file=str(self._directory),
                next_step="Run `credence node ingest` first.",
            )
        return Records(
            {name: _read(path) for name, path in paths.items() if path.exists()},
        )

    def of_customer(self, customer_id: str) -> dict[str, list[dict[str, Any]]]:
        """All rows of one customer, by table; empty when nothing was ingested."""
        self._recover()
        found: dict[str, list[dict[str, Any]]] = {}
        for spec in TABLES:
            path = self._directory / f"{spec.name}.parquet"
            if path.exists():
                rows = pq.read_table(path, filters=[("customer_id", "==", customer_id)])
                found[spec.name] = rows.to_pylist()
        return found

    def forget(self, customer_id: str) -> int:
        """Drop what is recorded of a customer, for good and at once; how many rows.

        Their line in `customers` stays: by it an ingest knows whom not to bring again, and a change
        of pseudonyms renames them. Call it in the transaction that writes: an ingest publishes in
        one, too.

        Raises:
            RecordsUnwritable: the directory cannot be replaced; nothing changed.
        """
        try:
            before = self.load()
        except RecordsMissing:
            return 0
        except (OSError, pa.ArrowException) as error:
            raise _unwritable(self._directory, error) from error
        after = before.without({customer_id})
        rows = sum(before.counts().values()) - sum(after.counts().values())
        if rows:
            with self.staged(after) as staged:
                staged.publish()
        return rows

    def _temporary(self) -> Path:
        try:
            self._directory.parent.mkdir(parents=True, exist_ok=True)
            if self._directory.exists() and not self._directory.is_dir():
                raise NotADirectoryError("a file is in the way")
            self._recover()
            return Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=self._directory.parent))
        except OSError as error:
            raise _unwritable(self._directory, error) from error

    def _recover(self) -> None:
        """Undo what a crash left: a store renamed away, temporary directories an hour old."""
        for temporary in sorted(self._directory.parent.glob(f"{TEMPORARY_PREFIX}*")):
            if not self._directory.exists() and (temporary / "previous").exists():
                (temporary / "previous").rename(self._directory)
            if time.time() - temporary.stat().st_mtime > LEFTOVER_AGE_S:
                shutil.rmtree(temporary, ignore_errors=True)


def _read(path: Path) -> pa.Table:
    return pq.ParquetFile(path).read()


def _unwritable(directory: Path, error: Exception) -> RecordsUnwritable:
    reason = "a file is damaged"
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
    return RecordsUnwritable(f"{directory} cannot be written: {reason}")
