"""Columns of bytes, and statements over many rows, at the driver's speed.

An append writes three rows a leaf. SQLAlchemy's per-row parameter handling and its wrapping of
each byte string made up a quarter of the time; both are for conversions that whole numbers, texts
and bytes do not need. Building `IN (...)` anew for every list costs more than running it. SQLite's
driver gives up the interpreter's lock at every row, and a thread among many waits long to have it
back: many rows go in one statement, and come in one row.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    Float,
    LargeBinary,
    Select,
    Table,
    Update,
    bindparam,
    case,
    func,
    insert,
    select,
)

Row = tuple[int | str | bytes | None, ...]

MAX_KEYS = 512  # bound at once; every database takes this many
MAX_ROWS = 256  # in one INSERT, of up to ten columns


class Blob(LargeBinary):
    """A LargeBinary whose bytes go to the driver, and come from it, as they are.

    sqlite3 and psycopg take and give `bytes`.
    """

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        """No conversion."""

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """No conversion."""


class BulkInsert:
    """INSERT of rows of whole numbers, texts and bytes, in the order of the columns."""

    def __init__(self, table: Table, *, without: Sequence[str] = ()) -> None:
        """Prepare the statement; it is compiled when a dialect is first met.

        Args:
            table: to insert into.
            without: columns that the database fills in.
        """
        self._table = table
        self._names = [column.name for column in table.columns if column.name not in without]
        self._compiled: dict[tuple[str, int], tuple[str, bool]] = {}

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert `rows`, of which there may be none."""
        if connection.dialect.name == "sqlite":
            self._many_at_once(connection, rows)
        elif rows:
            sql, positional = self._statement(connection.dialect, 1)
            if positional:
                connection.exec_driver_sql(sql, list(rows))
            else:
                named = [dict(zip(self._names, row, strict=True)) for row in rows]
                connection.exec_driver_sql(sql, named)

    def _many_at_once(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Statements of 256, 128, ... and 1 rows: a few turns for the interpreter's lock."""
        at = 0
        while at < len(rows):
            size = min(MAX_ROWS, 1 << ((len(rows) - at).bit_length() - 1))
            sql, _ = self._statement(connection.dialect, size)
            values = tuple(chain.from_iterable(rows[at : at + size]))
            connection.exec_driver_sql(sql, values)
            at += size

    def _statement(self, dialect: Dialect, size: int) -> tuple[str, bool]:
        found = self._compiled.get((dialect.name, size))
        if found is None:
            statement = insert(self._table)
            if size > 1:
                statement = statement.values([dict.fromkeys(self._names)] * size)
            compiled = statement.compile(dialect=dialect, column_keys=self._names)
            found = self._compiled[dialect.name, size] = str(compiled), compiled.positional
        return found


# SQL, the names of its parameters in order (None: by name), and the values that stand in it.
_Compiled = tuple[str, Sequence[str] | None, dict[str, Any]]


class _ByKeys:
    """A statement with one list of keys in it, compiled once for each power of two of them.

    A list is filled up to its power of two with its last key: inside `IN (...)` that changes
    nothing. Other values are `bindparam`s of their own name. Values go to the driver as they are.
    """

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, int], _Compiled] = {}

    def _make(self, keys: list[BindParameter[Any]], dialect: Dialect) -> Any:
        raise NotImplementedError

    def _run(
        self, connection: Connection, keys: Sequence[Any], values: dict[str, Any]
    ) -> "Iterator[CursorResult[*tuple[Any, ...]]]":
        for start in range(0, len(keys), MAX_KEYS):
            some = keys[start : start + MAX_KEYS]
            size = 1 << (len(some) - 1).bit_length()
            sql, order, literals = self._statement(connection.dialect, size)
            bound = literals | values
            bound |= {f"key_{at}": some[min(at, len(some) - 1)] for at in range(size)}
            yield connection.exec_driver_sql(
                sql, bound if order is None else tuple(bound[name] for name in order)
            )

    def _statement(self, dialect: Dialect, size: int) -> _Compiled:
        found = self._compiled.get((dialect.name, size))
        if found is None:
            keys: list[BindParameter[Any]] = [bindparam(f"key_{at}") for at in range(size)]
            compiled = self._make(keys, dialect).compile(dialect=dialect)
            order = compiled.positiontup if compiled.positional else None
            found = str(compiled), order, dict(compiled.params)
            self._compiled[dialect.name, size] = found
        return found


class UpdateByKeys(_ByKeys):
    """An UPDATE of the rows that a list of keys names."""

    def __init__(self, make: Callable[[list[BindParameter[Any]]], Update]) -> None:
        """Prepare the statement that `make` gives for keys."""
        super().__init__()
        self._for_keys = make

    def __call__(self, connection: Connection, keys: Sequence[Any], **values: Any) -> int:
        """Run for `keys`; how many rows were changed."""
        return sum(done.rowcount for done in self._run(connection, keys, values))

    def _make(self, keys: list[BindParameter[Any]], dialect: Dialect) -> Update:  # noqa: ARG002
        return self._for_keys(keys)


class SelectByKeys(_ByKeys):
    """A SELECT of the rows that a list of keys names.

    On SQLite all rows come as one JSON text: its driver gives up the interpreter's lock at every
    row, and among many threads each return of the lock costs more than the row.
    """

    def __init__(self, make: Callable[[list[BindParameter[Any]]], Select[Any]]) -> None:
        """Prepare the statement that `make` gives for keys; its columns have distinct names."""
        super().__init__()
        self._for_keys = make
        self._types = [column.type for column in make([bindparam("key")]).selected_columns]
        self._bytes = [at for at, kind in enumerate(self._types) if isinstance(kind, LargeBinary)]
        self._floats = [at for at, kind in enumerate(self._types) if isinstance(kind, Float)]

    def __call__(
        self, connection: Connection, keys: Sequence[Any], **values: Any
    ) -> list[Sequence[Any]]:
        """The rows for `keys`."""
        found: list[Sequence[Any]] = []
        for rows in self._run(connection, keys, values):
            if connection.dialect.name == "sqlite":
                found.extend(self._read(rows.scalar_one()))
            else:
                found.extend(rows)
        return found

    def _make(self, keys: list[BindParameter[Any]], dialect: Dialect) -> Select[Any]:
        plain = self._for_keys(keys)
        if dialect.name != "sqlite":
            return plain
        inner = plain.subquery()
        row = func.json_array(*map(_as_json, inner.columns))
        return select(func.json_group_array(row)).select_from(inner)

    def _read(self, text: str) -> list[list[Any]]:
        rows: list[list[Any]] = json.loads(text)
        for row in rows:
            for at in self._bytes:
                if row[at] is not None:
                    row[at] = bytes.fromhex(row[at])
            for at in self._floats:
                if row[at] is not None:
                    row[at] = float(row[at])
        return rows


def _as_json(column: ColumnElement[Any]) -> Any:
    """A column as JSON can hold it: bytes in hex, a float with all its digits."""
    if isinstance(column.type, LargeBinary):
        return case((column.is_(None), None), else_=func.hex(column))
    if isinstance(column.type, Float):
        return case((column.is_(None), None), else_=func.printf("%!.17g", column))
    return column
