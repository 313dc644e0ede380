"""Columns of bytes, and statements over many rows, at the driver's speed.

An append writes three rows a leaf. SQLAlchemy's per-row parameter handling and its wrapping of
each byte string made up a quarter of the time; both are for conversions that whole numbers, texts
and bytes do not need. Building `IN (...)` anew for every list costs more than running it. SQLite's
driver gives up the interpreter's lock at every statement: many rows go in one. It is given its
statements itself, on the transaction's own connection: for a few rows, SQLAlchemy's account of a
statement takes longer than the statement.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Dialect,
    LargeBinary,
    Select,
    Table,
    Update,
    bindparam,
    insert,
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
            _driver(connection).execute(sql, tuple(chain.from_iterable(rows[at : at + size])))
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


def _driver(connection: Connection) -> Any:
    """SQLite's own connection behind `connection`, in its transaction."""
    single = connection.get_execution_options().get("credence_single", False)
    if not single and not connection.in_transaction():
        connection.begin()
    return connection.connection.dbapi_connection


def _run(connection: Connection, sql: str, values: Any, **options: Any) -> Any:
    """A cursor with the statement's result; `options` are of a server's dialect."""
    if connection.dialect.name == "sqlite":
        return _driver(connection).execute(sql, values)
    return connection.exec_driver_sql(sql, values, execution_options=options or None)


# SQL, the names of its parameters in order (None: by name), and the values that stand in it.
_Compiled = tuple[str, Sequence[str] | None, dict[str, Any]]


def _compile(statement: Any, dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    order = compiled.positiontup if compiled.positional else None
    return str(compiled), order, dict(compiled.params)


def _bound(compiled: _Compiled, values: dict[str, Any]) -> Any:
    _, order, literals = compiled
    bound = literals | values
    return bound if order is None else tuple(bound[name] for name in order)


class Prepared:
    """A statement that is compiled once for each dialect; its values are `bindparam`s."""

    def __init__(self, statement: Select[Any] | Update) -> None:
        """Prepare; values go to the driver as they are, and come from it so."""
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, **values: Any) -> list[Sequence[Any]]:
        """What a SELECT finds."""
        return list(self._run(connection, values).fetchall())

    def stream(self, connection: Connection, **values: Any) -> Iterator[Sequence[Any]]:
        """What a SELECT finds, some rows at a time however many there are."""
        return iter(self._run(connection, values, stream_results=True, max_row_buffer=1024))

    def run(self, connection: Connection, **values: Any) -> int:
        """Run an UPDATE; how many rows were changed."""
        return int(self._run(connection, values).rowcount)

    def _run(self, connection: Connection, values: dict[str, Any], **options: Any) -> Any:
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _compile(self._statement, dialect)
        return _run(connection, compiled[0], _bound(compiled, values), **options)


class _ByKeys:
    """A statement with one list of keys in it, compiled once for each power of two of them.

    A list is filled up to its power of two with its last key: inside `IN (...)` that changes
    nothing. Other values are `bindparam`s of their own name. Values go to the driver as they are,
    and come from it so.
    """

    def __init__(self, make: Callable[[list[BindParameter[Any]]], Any]) -> None:
        """Prepare the statement that `make` gives for keys."""
        self._make = make
        self._compiled: dict[tuple[str, int], _Compiled] = {}

    def _run(
        self, connection: Connection, keys: Sequence[Any], values: dict[str, Any]
    ) -> Iterator[Any]:
        for start in range(0, len(keys), MAX_KEYS):
            some = keys[start : start + MAX_KEYS]
            size = 1 << (len(some) - 1).bit_length()
            compiled = self._statement(connection.dialect, size)
            named = {f"key_{at}": some[min(at, len(some) - 1)] for at in range(size)}
            yield _run(connection, compiled[0], _bound(compiled, values | named))

    def _statement(self, dialect: Dialect, size: int) -> _Compiled:
        found = self._compiled.get((dialect.name, size))
        if found is None:
            keys: list[BindParameter[Any]] = [bindparam(f"key_{at}") for at in range(size)]
            found = self._compiled[dialect.name, size] = _compile(self._make(keys), dialect)
        return found


class UpdateByKeys(_ByKeys):
    """An UPDATE of the rows that a list of keys names."""

    def __call__(self, connection: Connection, keys: Sequence[Any], **values: Any) -> int:
        """Run for `keys`; how many rows were changed."""
        return sum(done.rowcount for done in self._run(connection, keys, values))


class SelectByKeys(_ByKeys):
    """A SELECT of the rows that a list of keys names."""

    def __call__(
        self, connection: Connection, keys: Sequence[Any], **values: Any
    ) -> list[Sequence[Any]]:
        """The rows for `keys`."""
        return [row for found in self._run(connection, keys, values) for row in found.fetchall()]
