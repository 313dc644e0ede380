"""Columns of bytes, and inserts of many rows, at the driver's speed.

An append writes three rows a leaf. SQLAlchemy's per-row parameter handling and its wrapping of
each byte string made up a quarter of the time; both are for conversions that whole numbers and
bytes do not need.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Dialect, LargeBinary, Table, insert

Row = tuple[int | bytes, ...]


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
    """INSERT of rows whose values are whole numbers and bytes, in the order of the columns."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        compiled = insert(table).compile(dialect=dialect)
        self._sql = str(compiled)
        self._positional = compiled.positional
        self._names = [column.name for column in table.columns]

    def __call__(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert `rows`, of which there may be none."""
        if not rows:
            return
        if self._positional:
            connection.exec_driver_sql(self._sql, list(rows))
        else:
            named = [dict(zip(self._names, row, strict=True)) for row in rows]
            connection.exec_driver_sql(self._sql, named)
