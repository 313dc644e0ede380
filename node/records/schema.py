"""The canonical tables: what a node reads, whatever its own systems look like.

A table that an institution does not keep is simply absent; its signals are then `not_held`. Month
status codes follow the PBoC's: `*` inactive, `C` cleared in full, `N` normal revolving, `1`..`7`
months late, 7 standing for seven or more.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["key", "identifier", "text", "date", "month", "amount", "code"]

STATUS_CODES = ("*", "C", "N", "1", "2", "3", "4", "5", "6", "7")
PUBLIC_RECORD_KINDS = ("enforcement", "defendant_suit", "dishonest_debtor", "tax_arrears")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: header.
        kind: `key` letters, digits, `.`, `_`, `-`, at most 64; `identifier` an 18-digit resident
            identifier; `text` matches `pattern`; `date` YYYY-MM-DD; `month` YYYY-MM; `amount`
            currency units; `code` one of `codes`.
        optional: whether it may be empty.
        negative: whether an amount may be below zero.
        codes: the allowed codes.
        pattern: what a text matches.
        expected: the form in words, for errors.
    """

    name: str
    kind: Kind
    optional: bool = False
    negative: bool = False
    codes: tuple[str, ...] = ()
    pattern: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its columns and the sets of columns in which no two rows agree."""

    name: str
    columns: tuple[Column, ...]
    unique: tuple[tuple[str, ...], ...]
    required: bool = False

    @property
    def header(self) -> tuple[str, ...]:
        """The column names in canonical order."""
        return tuple(column.name for column in self.columns)


CUSTOMERS = TableSpec(
    "customers",
    (Column("customer_id", "key"), Column("identifier", "identifier")),
    unique=(("customer_id",), ("identifier",)),
    required=True,
)
ACCOUNTS = TableSpec(
    "accounts",
    (
        Column("customer_id", "key"),
        Column("account_id", "key"),
        Column("opened_on", "date", optional=True),
        Column("credit_limit", "amount"),
        Column(
            "currency",
            "text",
            pattern="^[A-Z]{3}$",
            expected="an ISO 4217 code such as CNY",
        ),
    ),
    unique=(("customer_id", "account_id"),),
)
# A bank fills status, a payments processor billed and paid; a row has one of the two, or both.
STATEMENTS = TableSpec(
    "statements",
    (
        Column("customer_id", "key"),
        Column("account_id", "key"),
        Column("month", "month"),
        Column("status", "code", optional=True, codes=STATUS_CODES),
        Column("billed", "amount", optional=True, negative=True),  # a credit balance is negative
        Column("paid", "amount", optional=True),
    ),
    unique=(("customer_id", "account_id", "month"),),
)
PUBLIC_RECORDS = TableSpec(
    "public_records",
    (
        Column("customer_id", "key"),
        Column("kind", "code", codes=PUBLIC_RECORD_KINDS),
        Column("amount", "amount", optional=True),
        Column("filed_on", "date"),
        Column("closed_on", "date", optional=True),
    ),
    unique=(("customer_id", "kind", "amount", "filed_on", "closed_on"),),
)
OUTCOMES = TableSpec(
    "outcomes",
    (
        Column("customer_id", "key"),
        Column("defaulted", "code", codes=("0", "1")),
        Column("observed_on", "date"),
    ),
    unique=(("customer_id",),),
)

TABLES: tuple[TableSpec, ...] = (CUSTOMERS, ACCOUNTS, STATEMENTS, PUBLIC_RECORDS, OUTCOMES)
