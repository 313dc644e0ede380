"""Raw text becomes typed, checked records; the first thing wrong stops it, by file and line.

The checks: 1 form and type of every value; 2 ranges and known codes; 3 duplicates; 4 every row
belongs to a known customer (and a statement to a known account, where accounts are kept); 5 rules
between columns. Nothing is repaired silently apart from blanks around a value.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from node.records.columns import convert
from node.records.connectors import RawTable
from node.records.errors import RecordsDuplicate, RecordsInvalid

KEY_SEPARATOR = "\x1f"  # cannot stand in a checked value
AMOUNT_REQUIRED = ("enforcement", "tax_arrears")


@dataclass(frozen=True, slots=True)
class Records:
    """Clean canonical tables by name; a table the institution does not keep is absent."""

    tables: Mapping[str, pa.Table] = field(repr=False)

    @property
    def customers(self) -> pa.Table:
        """The customers: customer_id and normalised identifier, both text."""
        return self.tables["customers"]

    def get(self, name: str) -> pa.Table | None:
        """A table, or None where it is not kept."""
        return self.tables.get(name)

    def without(self, customers: Collection[str]) -> "Records":
        """The same without what is recorded of some customers; `customers` still names them."""
        if not customers:
            return self
        gone = pa.array(sorted(customers))
        return Records(
            {
                name: table
                if name == "customers"
                else table.filter(pc.invert(pc.is_in(table["customer_id"], value_set=gone)))
                for name, table in self.tables.items()
            }
        )

    def counts(self) -> dict[str, int]:
        """Rows by table."""
        return {name: table.num_rows for name, table in self.tables.items()}


def clean(raw_tables: Sequence[RawTable]) -> Records:
    """Check and type raw tables.

    Args:
        raw_tables: what a `RecordSource` read.

    Raises:
        RecordsInvalid: a value, reference or combination is wrong.
        RecordsDuplicate: a row is there twice.
    """
    raw = {table.spec.name: table for table in raw_tables}
    tables = {name: _typed(table) for name, table in raw.items()}  # 1, 2
    for name, table in tables.items():
        for key in raw[name].spec.unique:
            _check_unique(raw[name], table, key)  # 3
    _check_references(raw, tables)  # 4
    _check_rules(raw, tables)  # 5
    if tables["customers"].num_rows == 0:
        raise RecordsInvalid("holds nobody", file=raw["customers"].file)
    return Records(tables)


def _typed(raw: RawTable) -> pa.Table:
    columns = {}
    for column in raw.spec.columns:
        converted = convert(raw.columns[column.name].combine_chunks(), column)
        _refuse(converted.missing, raw, column.name, "must not be empty")
        _refuse(converted.invalid, raw, column.name, converted.reason)
        columns[column.name] = converted.values
    return pa.table(columns)


def _check_unique(raw: RawTable, table: pa.Table, key: Sequence[str]) -> None:
    codes = _keys(table, key).dictionary_encode().indices
    rows = pa.array(range(table.num_rows), pa.int64())
    firsts = (
        pa.table({"code": codes, "row": rows})
        .group_by("code")
        .aggregate([("row", "min"), ("row", "count")])
    )
    if firsts.num_rows == table.num_rows:
        return
    first_of = firsts.sort_by("code")["row_min"].combine_chunks().take(codes)
    again = first_row(pc.greater(rows, first_of))
    if again is not None:
        first = raw.line(first_of[again].as_py())
        raise RecordsDuplicate(
            f"the same {' and '.join(key)} as in line {first}",
            file=raw.file,
            line=raw.line(again),
            column=key[-1],
        )


def _check_references(raw: Mapping[str, RawTable], tables: Mapping[str, pa.Table]) -> None:
    known = tables["customers"]["customer_id"]
    for name, table in tables.items():
        unknown = pc.invert(pc.is_in(table["customer_id"], value_set=known))
        _refuse(unknown, raw[name], "customer_id", "is not in customers")
    if "accounts" in tables and "statements" in tables:
        pair = ("customer_id", "account_id")
        known = _keys(tables["accounts"], pair)
        unknown = pc.invert(pc.is_in(_keys(tables["statements"], pair), value_set=known))
        _refuse(
            unknown, raw["statements"], "account_id", "is no account of this customer in accounts"
        )


def _check_rules(raw: Mapping[str, RawTable], tables: Mapping[str, pa.Table]) -> None:
    if (accounts := tables.get("accounts")) is not None and accounts.num_rows:
        other = pc.not_equal(accounts["currency"], accounts["currency"][0])
        reason = "differs from the first row; amounts of one directory are in one currency"
        _refuse(other, raw["accounts"], "currency", reason)
    if (statements := tables.get("statements")) is not None:
        no_status = pc.is_null(statements["status"])
        no_billed, no_paid = (pc.is_null(statements[name]) for name in ("billed", "paid"))
        half = pc.xor(no_billed, no_paid)
        _refuse(half, raw["statements"], "paid", "billed and paid go together")
        nothing = pc.and_(no_status, no_billed)
        _refuse(nothing, raw["statements"], "status", "the row has neither status nor amounts")
    if (filings := tables.get("public_records")) is not None:
        needs = pc.is_in(filings["kind"], value_set=pa.array(AMOUNT_REQUIRED))
        without = pc.and_(needs, pc.is_null(filings["amount"]))
        _refuse(without, raw["public_records"], "amount", "this kind needs an amount")
        early = pc.less(filings["closed_on"], filings["filed_on"])
        _refuse(early, raw["public_records"], "closed_on", "lies before filed_on")


def _keys(table: pa.Table, names: Sequence[str]) -> pa.Array:
    parts = [pc.fill_null(table[name].cast(pa.string()), "") for name in names]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, KEY_SEPARATOR)
    return joined.combine_chunks()


def _refuse(mask: pa.Array, raw: RawTable, column: str, reason: str) -> None:
    row = first_row(mask)
    if row is not None:
        raise RecordsInvalid(reason, file=raw.file, line=raw.line(row), column=column)


def first_row(mask: pa.Array) -> int | None:
    """The first row where `mask` is true, or None; null counts as false."""
    at: int = pc.index(mask, pa.scalar(True)).as_py()
    return None if at < 0 else at
