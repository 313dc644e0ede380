"""Items of adverse information in the institution's records whose five years are over (CRIR 16).

An item is counted from the end of the event, and an event that has not ended is never due:

- arrears end with the last month of a row of late months (status 1 to 7) of one account that a
  month without arrears follows;
- a public record ends on the day it was closed.

Pure: tables in, tables out. pyarrow takes a moment to load, so that only a run imports this.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from node.records.cleaning import Records
from node.retention.calendar import Period, last_day, newest_over
from node.retention.schedule import SCHEDULE, RecordClass

_LATE = frozenset("1234567")
_MONTH = Period(months=1)


@dataclass(frozen=True, slots=True)
class Kept:
    """Records without what is due.

    Attributes:
        records: what stays.
        counts: class of record -> (rows dropped, rows held back).
    """

    records: Records
    counts: dict[RecordClass, tuple[int, int]]

    @property
    def changed(self) -> bool:
        """Whether anything was dropped."""
        return any(dropped for dropped, _ in self.counts.values())


HeldCustomers = dict[RecordClass, set[str] | None]


def without_due(records: Records, today: date, held: HeldCustomers) -> Kept:
    """Drop what is due and not held.

    Args:
        records: clean records.
        today: the day in UTC+8.
        held: class -> customer numbers whose records stay; None: everybody's do.
    """
    tables = dict(records.tables)
    counts: dict[RecordClass, tuple[int, int]] = {}
    for name, record_class, find in (
        ("statements", RecordClass.LATE_STATEMENT, _old_arrears),
        ("public_records", RecordClass.PUBLIC_RECORD, _old_filings),
    ):
        table = tables.get(name)
        if table is None or table.num_rows == 0:
            continue
        due = find(table, newest_over(SCHEDULE[record_class].period, today))
        kept = _held_rows(table, due, held.get(record_class, set()))
        going = sorted(set(due) - kept)
        counts[record_class] = len(going), len(kept)
        if going:
            stays = pa.array(range(table.num_rows)).filter(
                pc.invert(pc.is_in(pa.array(range(table.num_rows)), value_set=pa.array(going)))
            )
            tables[name] = table.take(stays)
    return Kept(Records(tables), counts)


def _held_rows(table: pa.Table, due: Collection[int], held: set[str] | None) -> set[int]:
    if held is None:
        return set(due)
    if not held or not due:
        return set()
    customers = table["customer_id"].to_pylist()
    return {row for row in due if customers[row] in held}


def _old_filings(table: pa.Table, newest: date) -> list[int]:
    closed = table["closed_on"].to_pylist()
    return [row for row, day in enumerate(closed) if day is not None and day <= newest]


def _old_arrears(table: pa.Table, newest: date) -> list[int]:
    """Rows of late months whose arrears ended on or before a day."""
    old = pc.less_equal(table["month"], pa.scalar(newest, table["month"].type))
    if not pc.any(old).as_py():
        return []  # the common day: nothing is that old
    columns = (table[name].to_pylist() for name in ("customer_id", "account_id", "month", "status"))
    rows = sorted(
        (customer, account, month, row, status)
        for row, (customer, account, month, status) in enumerate(zip(*columns, strict=True))
        if status is not None
    )
    return [row for row, ended in _ends(rows) if ended <= newest]


def _ends(rows: list[tuple[str, str, date, int, str]]) -> Iterator[tuple[int, date]]:
    """(row, day the arrears ended) of late months that a month without arrears follows."""
    run: list[int] = []
    last: date | None = None
    account: tuple[str, str] | None = None
    for customer, number, month, row, status in rows:
        if (customer, number) != account:
            account, run = (customer, number), []
        if status in _LATE:
            run.append(row)
            last = month
            continue
        if last is not None:
            ended = _month_end(last)
            yield from ((one, ended) for one in run)
        run = []


def _month_end(month: date) -> date:
    first = month.replace(day=1)
    return date.fromordinal(last_day(first, _MONTH).toordinal() - 1)
