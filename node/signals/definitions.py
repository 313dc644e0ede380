"""What each signal is: an Ibis expression over one relation, keyed by the catalogue's signal id.

An expression aggregates one customer's rows; null means that there is nothing on record. Units
and meaning are those of the signal catalogue: amounts in currency units, status numbers from
-2 inactive over -1 cleared and 0 normal to 7 months late. Nothing here depends on the engine, so
the same definitions run on DuckDB and wherever else Ibis compiles to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import ibis.expr.types as ir

from node.signals.windows import CLEARED, INACTIVE, Relation

PAID_RATIO_CAP = 1.5
MIN_SLOPE_MONTHS = 3
SUIT_MONTHS = 24


@dataclass(frozen=True, slots=True)
class Definition:
    """One signal: the relation it needs and the aggregate over a customer's rows."""

    relation: Relation
    expression: Callable[[ir.Table], ir.Scalar]


def _worst_status(months: int) -> Definition:
    return Definition(Relation.STATUSES, lambda t: t.status.max(where=t.lag <= months))


def _months_with(condition: Callable[[ir.Table], ir.BooleanColumn]) -> Definition:
    """Of the last six months, how many meet a condition; null without any statement."""
    return Definition(Relation.STATUSES, lambda t: condition(t).cast("int64").sum(where=t.lag <= 6))


def _paid_ratio(months: int) -> Definition:
    def expression(t: ir.Table) -> ir.Scalar:
        recent = t.lag <= months
        billed = t.billed.sum(where=recent & (t.billed > 0))
        paid = t.paid.sum(where=recent)
        return (paid / billed).clip(upper=PAID_RATIO_CAP)

    return Definition(Relation.AMOUNTS, expression)


def _balance_slope(t: ir.Table) -> ir.Scalar:
    """Least-squares slope per month over the mean absolute balance, within -1..1."""
    recent = t.lag <= 6
    time = -t.lag
    slope = time.cov(t.billed, where=recent, how="pop") / time.var(where=recent, how="pop").nullif(
        0
    )
    relative = (slope / t.billed.abs().mean(where=recent).nullif(0)).clip(lower=-1.0, upper=1.0)
    enough = t.lag.count(where=recent) >= MIN_SLOPE_MONTHS
    return enough.ifelse(relative, None)


def _unpaid_months(t: ir.Table) -> ir.Scalar:
    return ((t.billed > 0) & (t.paid == 0)).cast("int64").sum(where=t.lag <= 6)


def _open_amount(kind: str) -> Definition:
    return Definition(Relation.FILINGS, lambda t: t.amount.sum(where=(t.kind == kind) & t.is_open))


def _recent_suits(t: ir.Table) -> ir.Scalar:
    recent = (t.kind == "defendant_suit") & (t.lag <= SUIT_MONTHS)
    return t.kind.count(where=recent).nullif(0)


def _listed(t: ir.Table) -> ir.Scalar:
    # A listing that was lifted is not on record any more: credit repair must take effect.
    listed = (t.kind == "dishonest_debtor") & t.is_open
    return t.is_open.cast("int64").max(where=listed)


DEFINITIONS: Mapping[str, Definition] = MappingProxyType(
    {
        "credit_limit": Definition(Relation.ACCOUNTS, lambda t: t.credit_limit.sum()),
        "current_status": _worst_status(1),
        "worst_status_3m": _worst_status(3),
        "worst_status_6m": _worst_status(6),
        "late_months_6m": _months_with(lambda t: t.status >= 1),
        "late60_months_6m": _months_with(lambda t: t.status >= 2),
        "months_since_late": Definition(
            Relation.STATUSES, lambda t: (t.lag - 1).min(where=t.status >= 1)
        ),
        "inactive_months_6m": _months_with(lambda t: t.status == INACTIVE),
        "cleared_months_6m": _months_with(lambda t: t.status == CLEARED),
        "statement_balance": Definition(Relation.AMOUNTS, lambda t: t.billed.sum(where=t.lag == 1)),
        "paid_ratio_1m": _paid_ratio(1),
        "paid_ratio_3m": _paid_ratio(3),
        "paid_ratio_6m": _paid_ratio(6),
        "balance_slope_6m": Definition(Relation.AMOUNTS, _balance_slope),
        "unpaid_months_6m": Definition(Relation.AMOUNTS, _unpaid_months),
        "paid_amount_1m": Definition(Relation.AMOUNTS, lambda t: t.paid.sum(where=t.lag == 1)),
        "paid_amount_3m": Definition(Relation.AMOUNTS, lambda t: t.paid.sum(where=t.lag <= 3)),
        "enforcement_amount": _open_amount("enforcement"),
        "defendant_suits_24m": Definition(Relation.FILINGS, _recent_suits),
        "dishonest_debtor": Definition(Relation.FILINGS, _listed),
        "tax_arrears": _open_amount("tax_arrears"),
    }
)
