"""The relations that signal definitions aggregate: one row a customer and month, or a filing.

Every window closes strictly before `as_of`. A statement counts once its month is over: `lag` 1 is
the last month that ended before `as_of`, lag 2 the one before it. A filing counts when it was made
before the day of `as_of`, and is open unless it was closed before that day.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

import ibis
import ibis.expr.types as ir

from node.records.cleaning import Records

HISTORY_MONTHS = 60
CLEARED, INACTIVE = -1, -2  # below 0 = normal revolving; 1..7 months late


class Relation(StrEnum):
    """What a definition aggregates over, always by customer."""

    ACCOUNTS = "accounts"  # credit_limit
    STATUSES = "statuses"  # lag, status (-2 inactive, -1 cleared, 0 normal, 1..7 late)
    AMOUNTS = "amounts"  # lag, billed, paid
    FILINGS = "filings"  # lag, kind, amount, is_open


@dataclass(frozen=True, slots=True)
class AsOf:
    """The moment signals are computed for.

    Attributes:
        at_ms: UTC milliseconds; every window closes strictly before it.
    """

    at_ms: int

    @property
    def day(self) -> date:
        """The UTC day."""
        return datetime.fromtimestamp(self.at_ms / 1000, tz=UTC).date()

    @property
    def month_number(self) -> int:
        """Months since year 0; a statement month has the same count."""
        return self.day.year * 12 + self.day.month

    @classmethod
    def after(cls, month: date) -> "AsOf":
        """The first moment after a month is over."""
        year, zero_based = divmod(month.year * 12 + month.month, 12)
        moment = datetime(year, zero_based + 1, 1, tzinfo=UTC)
        return cls(int(moment.timestamp() * 1000))


def relations(records: Records, as_of: AsOf) -> dict[Relation, ir.Table]:
    """The relations these records can answer; one that is absent is not held here.

    Args:
        records: clean records.
        as_of: when the windows close.
    """
    found: dict[Relation, ir.Table] = {}
    if (accounts := records.get("accounts")) is not None:
        found[Relation.ACCOUNTS] = ibis.memtable(accounts)
    if (statements := records.get("statements")) is not None:
        rows = _with_lag(ibis.memtable(statements), as_of)
        if statements["status"].null_count < statements.num_rows:
            found[Relation.STATUSES] = _statuses(rows)
        if statements["billed"].null_count < statements.num_rows:
            found[Relation.AMOUNTS] = _amounts(rows)
    if (filings := records.get("public_records")) is not None:
        found[Relation.FILINGS] = _filings(ibis.memtable(filings), as_of)
    return found


def _with_lag(statements: ir.Table, as_of: AsOf) -> ir.Table:
    number = statements.month.year() * 12 + statements.month.month()
    rows = statements.mutate(lag=as_of.month_number - number)
    return rows.filter(rows.lag.between(1, HISTORY_MONTHS))


def _statuses(rows: ir.Table) -> ir.Table:
    """The worst status over a customer's accounts, by month."""
    known = rows.filter(rows.status.notnull())
    number = known.status.cases(
        ("*", INACTIVE), ("C", CLEARED), ("N", 0), else_=known.status.try_cast("int64")
    )
    by_month = known.mutate(number=number).group_by(["customer_id", "lag"])
    return by_month.aggregate(status=lambda t: t.number.max())


def _amounts(rows: ir.Table) -> ir.Table:
    """Billed and paid summed over a customer's accounts, by month."""
    by_month = rows.filter(rows.billed.notnull()).group_by(["customer_id", "lag"])
    return by_month.aggregate(billed=lambda t: t.billed.sum(), paid=lambda t: t.paid.sum())


def _filings(filings: ir.Table, as_of: AsOf) -> ir.Table:
    day = ibis.literal(as_of.day)
    made = filings.filter(filings.filed_on < day)
    number = made.filed_on.year() * 12 + made.filed_on.month()
    # Filed in the k-th month before as_of, counted from its day: asked on the 15th, the 14th of
    # this month and the 15th of the last one are both in the first.
    earlier_day = (made.filed_on.day() < as_of.day.day).cast("int64")
    return made.mutate(
        lag=as_of.month_number - number + earlier_day,
        is_open=made.closed_on.isnull() | (made.closed_on >= day),
    )
