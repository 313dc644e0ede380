"""Where raw records come from.

A source yields raw tables: every column as text, exactly as the source has it, and the hash of
what was read. Cleaning starts from there, so a SQL database or a lake needs one more class with
`read()` and nothing else.
"""

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv as pacsv

from node.records.errors import RecordsMalformed, RecordsMissing
from node.records.schema import TABLES, TableSpec

FIRST_ROW_LINE = 2  # line 1 is the header


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """How much of a source is read before it is refused."""

    max_file_bytes: int = 1 << 30
    max_rows: int = 20_000_000
    max_header_bytes: int = 4096


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as its source has it.

    Attributes:
        spec: the canonical table it is to become.
        columns: a pyarrow Table of text columns, named as `spec.header`.
        file: name of the source, for errors.
        sha256: hex hash of the bytes that were read.
    """

    spec: TableSpec
    columns: pa.Table = field(repr=False)  # raw personal data: no traceback shows it
    file: str
    sha256: str

    def line(self, row: int) -> int:
        """The line of a row (rows count from 0)."""
        return row + FIRST_ROW_LINE


class RecordSource(Protocol):
    """Anything that yields raw tables."""

    def read(self) -> Sequence[RawTable]:
        """Read the tables that the institution keeps, customers first.

        Raises:
            RecordsMissing: the source or a required table is not there.
            RecordsMalformed: a table cannot be read as its canonical form.
        """
        ...


class CsvDirectory:
    """A directory with one `<table>.csv` per canonical table."""

    def __init__(self, directory: Path, limits: RecordLimits | None = None) -> None:
        self._directory = directory
        self._limits = limits or RecordLimits()

    def read(self) -> list[RawTable]:
        """Read all canonical files; see `RecordSource.read`."""
        names = self._names()
        tables = []
        for spec in TABLES:
            file = f"{spec.name}.csv"
            if file in names:
                tables.append(self._table(spec, file))
            elif spec.required:
                raise RecordsMissing("the file is missing", file=str(self._directory / file))
        return tables

    def _names(self) -> set[str]:
        try:
            names = {path.name for path in self._directory.iterdir() if path.suffix == ".csv"}
        except FileNotFoundError:
            raise RecordsMissing("no such directory", file=str(self._directory)) from None
        except NotADirectoryError:
            raise RecordsMissing("is not a directory", file=str(self._directory)) from None
        except OSError as error:
            reason = error.strerror or "cannot be read"
            raise RecordsMissing(reason, file=str(self._directory)) from error
        known = {f"{spec.name}.csv" for spec in TABLES}
        # A misspelt name would otherwise turn a whole table into "not held" without a word.
        if surplus := sorted(names - known):
            raise RecordsMissing(
                "is none of the canonical files",
                file=surplus[0],
                next_step=f"Rename or remove it; the names are {', '.join(sorted(known))}.",
            )
        return names

    def _table(self, spec: TableSpec, file: str) -> RawTable:
        path = self._directory / file
        try:
            with path.open("rb") as stream:
                data = stream.read(self._limits.max_file_bytes + 1)
        except OSError as error:
            raise RecordsMissing(error.strerror or "cannot be read", file=file) from error
        columns = read_csv(data, file, spec.header, self._limits)
        return RawTable(spec, columns, file, hashlib.sha256(data).hexdigest())


def read_csv(
    data: bytes, file: str, header: Sequence[str], limits: RecordLimits | None = None
) -> pa.Table:
    """Parse CSV bytes into text columns in the order of `header`.

    The checks: 1 size; 2 UTF-8 without NUL; 3 the header has exactly these names, in any order;
    4 every row has as many fields; 5 the number of rows. Rows are one line each, so that an error
    can name its line.

    Args:
        data: the file.
        file: its name, for errors.
        header: the columns it must have.
        limits: upper bounds.

    Raises:
        RecordsMalformed: naming file, line and column.
    """
    limits = limits or RecordLimits()
    if len(data) > limits.max_file_bytes:  # 1
        raise RecordsMalformed(f"is larger than {limits.max_file_bytes} bytes", file=file)
    _check_text(data, file)  # 2
    names = _check_header(data, file, header, limits)  # 3
    table = _parse(data.rstrip(b"\r\n") + b"\n", file, names)  # 4
    if table.num_rows > limits.max_rows:  # 5
        raise RecordsMalformed(f"has more than {limits.max_rows} rows", file=file)
    return table.select(list(header))


def _check_text(data: bytes, file: str) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecordsMalformed("is not UTF-8", file=file, line=line) from None
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise RecordsMalformed("holds a NUL byte", file=file, line=line)


def _check_header(data: bytes, file: str, header: Sequence[str], limits: RecordLimits) -> list[str]:
    first = data[: limits.max_header_bytes].split(b"\n", 1)[0]
    text = first.decode("utf-8-sig", errors="replace").rstrip("\r")
    try:
        names = next(csv.reader(io.StringIO(text)), [])
    except csv.Error:
        raise RecordsMalformed("is no header of a CSV file", file=file, line=1) from None
    if not names:
        raise RecordsMalformed("is empty", file=file, line=1)
    for name in header:
        if name not in names:
            raise RecordsMalformed("the column is missing", file=file, line=1, column=name)
    for position, name in enumerate(names, start=1):
        if name not in header or names.index(name) != position - 1:
            raise RecordsMalformed(
                "is unknown or there twice; it has to be one of " + ", ".join(header),
                file=file,
                line=1,
                column=str(position),
            )
    return names


def _parse(data: bytes, file: str, names: list[str]) -> pa.Table:
    bad: list[Any] = []

    def note(row: Any) -> str:
        bad.append(row)
        return "error"

    try:
        return pacsv.read_csv(
            pa.BufferReader(data),
            pacsv.ReadOptions(use_threads=False),  # one thread: only then rows have numbers
            pacsv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=note),
            pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid as error:
        # Arrow quotes the row in its message; a row is personal data, so only its number goes on.
        if bad:
            reason = f"{bad[0].expected_columns} fields expected, {bad[0].actual_columns} found"
            raise RecordsMalformed(reason, file=file, line=bad[0].number) from None
        found = re.search(r"Row #(\d+)", str(error))
        line = int(found.group(1)) if found else None
        raise RecordsMalformed("cannot be read as CSV", file=file, line=line) from None
