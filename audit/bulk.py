"""Columns of bytes, and statements over many rows, at the driver's speed.

An append writes three rows a leaf. SQLAlchemy's per-row parameter handling and its wrapping of
each byte string made up a quarter of the time; both are for conversions that whole numbers, texts
and bytes do not need. Building `IN (...)` anew for every list costs more than running it, hence
`ByKeys`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    CursorResult,
    Dialect,
    Executable,
    LargeBinary,
    Table,
    bindparam,
    insert,
)

Row = tuple[int | str | bytes | None, ...]

MAX_KEYS = 512  # bound at once; every database takes this many


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
        self._compiled: dict[str, tuple[str, bool]] = {}

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert `rows`, of which there may be none."""
        if not rows:
            return
        sql, positional = self._statement(connection.dialect)
        if positional:
            connection.exec_driver_sql(sql, list(rows))
        else:
            named = [dict(zip(self._names, row, strict=True)) for row in rows]
            connection.exec_driver_sql(sql, named)

    def _statement(self, dialect: Dialect) -> tuple[str, bool]:
        found = self._compiled.get(dialect.name)
        if found is None:
            compiled = insert(self._table).compile(dialect=dialect, column_keys=self._names)
            found = self._compiled[dialect.name] = str(compiled), compiled.positional
        return found


class ByKeys:
    """A statement with one list of keys in it, compiled once for each power of two of them.

    A list is filled up to its power of two with its last key: inside `IN (...)` that changes
    nothing. Values and rows are those of the driver, without SQLAlchemy's conversions.
    """

    def __init__(self, make: Callable[[list[BindParameter[Any]]], Executable]) -> None:
        """Prepare a statement.

        Args:
            make: the statement for given keys; other values are `bindparam`s of their own name.
        """
        self._make = make
        self._compiled: dict[tuple[str, int], tuple[str, Sequence[str] | None]] = {}

    def __call__(
        self, connection: Connection, keys: Sequence[Any], **values: Any
    ) -> "Iterator[CursorResult[*tuple[Any, ...]]]":
        """Run for `keys`, up to `MAX_KEYS` at a time; one result for each run."""
        for start in range(0, len(keys), MAX_KEYS):
            some = keys[start : start + MAX_KEYS]
            size = 1 << (len(some) - 1).bit_length()
            sql, order = self._statement(connection.dialect, size)
            bound = {f"key_{at}": some[min(at, len(some) - 1)] for at in range(size)} | values
            yield connection.exec_driver_sql(
                sql, bound if order is None else tuple(bound[name] for name in order)
            )

    def _statement(self, dialect: Dialect, size: int) -> tuple[str, Sequence[str] | None]:
        found = self._compiled.get((dialect.name, size))
        if found is None:
            keys: list[BindParameter[Any]] = [bindparam(f"key_{at}") for at in range(size)]
            compiled = self._make(keys).compile(dialect=dialect)  # type: ignore[attr-defined]
            found = str(compiled), compiled.positiontup if compiled.positional else None
            self._compiled[dialect.name, size] = found
        return found
