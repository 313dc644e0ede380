"""Every kind of bad input: one clear error with its place, and nothing written."""

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.records.cleaning import clean
from node.records.connectors import CsvDirectory, RecordLimits, read_csv
from node.records.errors import (
    RecordsDuplicate,
    RecordsInvalid,
    RecordsMalformed,
    RecordsMissing,
)
from protocols.errors import CredenceError
from tests.node.ingest_world import (
    NOW_MS,
    World,
    bank_tables,
    identifier,
    to_csv,
    write_tables,
)

WRONG_DIGIT = identifier(4)[:-1] + ("0" if identifier(4)[-1] != "0" else "1")
WITH_X = next(identifier(n) for n in range(100, 200) if identifier(n).endswith("X"))
TWICE = [["c1", identifier(1)], ["c2", identifier(2)], ["c3", identifier(3)]]


def replaced(table, row, column, value):
    rows = [list(one) for one in bank_tables()[table]]
    rows[row][column] = value
    return {table: rows}


CELLS = [
    ("unknown status code", replaced("statements", 4, 3, "8"), "statements.csv", 6, "status"),
    ("lower-case code", replaced("statements", 0, 3, "c"), "statements.csv", 2, "status"),
    ("bad checksum", replaced("customers", 2, 1, WRONG_DIGIT), "customers.csv", 4, "identifier"),
    ("short identifier", replaced("customers", 0, 1, "99"), "customers.csv", 2, "identifier"),
    ("negative limit", replaced("accounts", 1, 3, -5), "accounts.csv", 3, "credit_limit"),
    ("limit in words", replaced("accounts", 1, 3, "much"), "accounts.csv", 3, "credit_limit"),
    ("limit not finite", replaced("accounts", 1, 3, "nan"), "accounts.csv", 3, "credit_limit"),
    ("limit too long", replaced("accounts", 1, 3, "9" * 20), "accounts.csv", 3, "credit_limit"),
    ("no limit", replaced("accounts", 1, 3, ""), "accounts.csv", 3, "credit_limit"),
    ("no such day", replaced("accounts", 0, 2, "2023-02-30"), "accounts.csv", 2, "opened_on"),
    ("other date form", replaced("accounts", 0, 2, "31/01/20"), "accounts.csv", 2, "opened_on"),
    ("two currencies", replaced("accounts", 2, 4, "USD"), "accounts.csv", 4, "currency"),
    ("no currency code", replaced("accounts", 2, 4, "yuan"), "accounts.csv", 4, "currency"),
    ("month 13", replaced("statements", 3, 2, "2025-13"), "statements.csv", 5, "month"),
    ("month as a day", replaced("statements", 3, 2, "2025-04-01"), "statements.csv", 5, "month"),
    ("no status, no amounts", replaced("statements", 3, 3, ""), "statements.csv", 5, "status"),
    ("billed without paid", replaced("statements", 3, 4, "10"), "statements.csv", 5, "paid"),
    ("label 2", replaced("outcomes", 1, 1, "2"), "outcomes.csv", 3, "defaulted"),
    ("no observation day", replaced("outcomes", 1, 2, ""), "outcomes.csv", 3, "observed_on"),
    ("stranger", replaced("outcomes", 1, 0, "c9"), "outcomes.csv", 3, "customer_id"),
    ("foreign account", replaced("statements", 8, 1, "x"), "statements.csv", 10, "account_id"),
    ("odd customer id", replaced("customers", 0, 0, "c 1"), "customers.csv", 2, "customer_id"),
    ("line break inside", replaced("customers", 0, 0, "c1\n"), "customers.csv", 2, "customer_id"),
]
DUPLICATES = [
    (
        "customer",
        {"customers": [*TWICE, ["c2", identifier(5)]]},
        ("customers.csv", 5, "customer_id"),
    ),
    (
        "identifier",
        {"customers": [*TWICE, ["c4", identifier(1)]]},
        ("customers.csv", 5, "identifier"),
    ),
    (
        "identifier in other letters",
        {"customers": [["c1", WITH_X], ["c2", WITH_X.lower()]]},
        ("customers.csv", 3, "identifier"),
    ),
    (
        "account",
        {"accounts": [["c1", "card", "", 1, "CNY"], ["c1", "card", "", 2, "CNY"]]},
        ("accounts.csv", 3, "account_id"),
    ),
    (
        "statement",
        {"statements": [["c1", "card", "2025-04", "N", "", ""]] * 2},
        ("statements.csv", 3, "month"),
    ),
    (
        "outcome",
        {"outcomes": [["c1", 0, "2025-07-31"], ["c1", 1, "2025-07-31"]]},
        ("outcomes.csv", 3, "customer_id"),
    ),
]
PUBLIC = [
    ("unknown kind", ["c1", "divorce", "", "2025-01-01", ""], "kind"),
    ("no amount", ["c1", "tax_arrears", "", "2025-01-01", ""], "amount"),
    ("closed before filed", ["c1", "defendant_suit", "", "2025-01-02", "2025-01-01"], "closed_on"),
]
FILES = [
    ("empty", "accounts", b"", 1, None),
    ("non-UTF-8", "accounts", b"customer_id,account_id\n\xff\xfe\n", 2, None),
    ("a NUL byte", "accounts", b"customer_id\x00,account_id\n", 1, None),
    ("a wrong column", "outcomes", b"customer_id,default,observed_on\n", 1, "defaulted"),
    ("a surplus column", "outcomes", b"customer_id,defaulted,observed_on,name\n", 1, "4"),
    ("a column twice", "customers", b"customer_id,identifier,identifier\n", 1, "3"),
    ("a missing field", "customers", b"customer_id,identifier\nc1,x\nc2\n", 3, None),
    ("a surplus field", "customers", b"customer_id,identifier\nc1,x,y\n", 2, None),
    ("an open quote", "customers", b'customer_id,identifier\n"c1,x\n', 2, None),
    ("semicolons", "customers", b"customer_id;identifier\nc1;x\n", 1, "customer_id"),
    ("a spreadsheet", "customers", b"PK\x03\x04\x14\x00\x06\x00", 1, None),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One node for all: a refusal changes nothing, which `refused` holds each time."""
    made = World(tmp_path_factory.mktemp("home"))
    before = write_tables(tmp_path_factory.mktemp("before"), **bank_tables())
    made.service.ingest_directory(before, now_ms=NOW_MS)
    yield made
    made.close()


def refused(world, directory, error_class):
    """The error; nothing that stood there before has changed."""
    before = world.fingerprint()
    with pytest.raises(error_class) as raised:
        world.service.ingest_directory(directory, now_ms=NOW_MS + 1)
    assert world.fingerprint() == before
    assert raised.value.category == "invalid"
    assert raised.value.next_step
    return raised.value


@pytest.mark.parametrize(
    ("change", "file", "line", "column"), [case[1:] for case in CELLS], ids=[c[0] for c in CELLS]
)
def test_a_wrong_cell_is_named_by_file_line_and_column(world, tmp_path, change, file, line, column):
    directory = write_tables(tmp_path / "inbox", **(bank_tables() | change))
    error = refused(world, directory, RecordsInvalid)
    assert (error.file, error.line, error.column) == (file, line, column)
    assert error.message.startswith(f"{file}, line {line}, column {column}: ")


@pytest.mark.parametrize(
    ("change", "place"), [case[1:] for case in DUPLICATES], ids=[c[0] for c in DUPLICATES]
)
def test_what_is_there_twice_is_named_with_both_lines(world, tmp_path, change, place):
    tables = bank_tables() | change
    if "customers" in change and len(change["customers"]) == 2:
        tables = change
    error = refused(world, write_tables(tmp_path / "inbox", **tables), RecordsDuplicate)
    assert (error.file, error.line, error.column) == place
    assert "as in line" in error.message


@pytest.mark.parametrize(("row", "column"), [c[1:] for c in PUBLIC], ids=[c[0] for c in PUBLIC])
def test_a_wrong_public_record_is_named(world, tmp_path, row, column):
    tables = {"customers": bank_tables()["customers"], "public_records": [row]}
    error = refused(world, write_tables(tmp_path / "inbox", **tables), RecordsInvalid)
    assert (error.file, error.line, error.column) == ("public_records.csv", 2, column)


@pytest.mark.parametrize(
    ("name", "data", "line", "column"), [c[1:] for c in FILES], ids=[c[0] for c in FILES]
)
def test_a_file_that_is_no_canonical_csv_is_named(world, tmp_path, name, data, line, column):
    directory = write_tables(tmp_path / "inbox", **bank_tables())
    (directory / f"{name}.csv").write_bytes(data)
    error = refused(world, directory, RecordsMalformed)
    assert (error.file, error.line, error.column) == (f"{name}.csv", line, column)


def test_a_missing_directory_is_named(world, tmp_path):
    error = refused(world, tmp_path / "nowhere", RecordsMissing)
    assert "no such directory" in error.message


def test_a_file_instead_of_a_directory_is_named(world, tmp_path):
    (tmp_path / "file").touch()
    assert "not a directory" in refused(world, tmp_path / "file", RecordsMissing).message


def test_a_directory_without_customers_is_refused(world, tmp_path):
    tables = bank_tables()
    del tables["customers"]
    error = refused(world, write_tables(tmp_path / "inbox", **tables), RecordsMissing)
    assert error.message.endswith("customers.csv: the file is missing")


def test_customers_without_anybody_do_not_wipe_the_node(world, tmp_path):
    error = refused(world, write_tables(tmp_path / "inbox", customers=[]), RecordsInvalid)
    assert error.message == "customers.csv: holds nobody"


def test_a_misspelt_file_name_is_refused_not_ignored(world, tmp_path):
    directory = write_tables(tmp_path / "inbox", **bank_tables())
    (directory / "statements.csv").rename(directory / "statement.csv")
    error = refused(world, directory, RecordsMissing)
    assert error.file == "statement.csv"
    assert "statements.csv" in error.next_step


def test_a_directory_in_the_place_of_a_file_is_named(world, tmp_path):
    directory = write_tables(tmp_path / "inbox", **bank_tables())
    (directory / "outcomes.csv").unlink()
    (directory / "outcomes.csv").mkdir()
    assert refused(world, directory, RecordsMissing).file == "outcomes.csv"


def test_errors_never_repeat_a_value(world, tmp_path):
    secret = identifier(7)
    cases = [
        bank_tables() | replaced("statements", 0, 3, secret),
        bank_tables() | replaced("accounts", 0, 4, secret),
        bank_tables() | {"customers": [["c1", secret], ["c2", secret]]},
        bank_tables() | {"customers": [["c1", secret, secret]]},
    ]
    for number, tables in enumerate(cases):
        directory = write_tables(tmp_path / str(number), **tables)
        error = refused(world, directory, RecordsInvalid)
        assert secret not in error.message + error.next_step
        assert secret not in repr(error.__cause__)


@pytest.mark.parametrize(
    "limits", [RecordLimits(max_file_bytes=20), RecordLimits(max_rows=2)], ids=["bytes", "rows"]
)
def test_more_than_the_limits_allow_is_refused(tmp_path, limits):
    directory = write_tables(tmp_path / "inbox", **bank_tables())
    with pytest.raises(RecordsMalformed, match=r"more than|larger than"):
        CsvDirectory(directory, limits).read()


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_usual_exports_are_read(ending, mark):
    data = mark + b'b,a\r\n"2",1\r\n4,3' + ending
    assert read_csv(data, "x.csv", ["a", "b"]).to_pydict() == {"a": ["1", "3"], "b": ["2", "4"]}


def test_blanks_around_values_are_no_part_of_them(tmp_path):
    tables = bank_tables() | replaced("statements", 0, 3, " N ")
    records = clean(CsvDirectory(write_tables(tmp_path, **tables)).read())
    assert records.tables["statements"]["status"][0].as_py() == "N"


@given(data=st.binary(max_size=200))
@example(data=b"\r\x01")  # a lone carriage return is no line end to the csv module
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_table_or_a_credence_error(data):
    with contextlib.suppress(CredenceError):
        read_csv(data, "x.csv", ["a", "b"])
    with contextlib.suppress(CredenceError):
        table = read_csv(b"a,b\n" + data, "x.csv", ["a", "b"])
        assert table.column_names == ["a", "b"]


ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
USUAL = (["c1", "c2"], ["a", "b"], ["2025-04", "2025-05"], ["N", "1", ""], ["", "5"], ["", "5"])
ROW = st.tuples(
    *(st.one_of(*[st.sampled_from(cells)] * 12, ANY) for cells in USUAL)  # mostly as it should be
)


@given(rows=st.lists(ROW, max_size=4))
@settings(max_examples=80, deadline=None)
def test_any_statement_is_cleaned_or_refused(tmp_path_factory, rows):
    directory = tmp_path_factory.mktemp("fuzz")
    write_tables(directory, customers=TWICE)
    header = ["customer_id", "account_id", "month", "status", "billed", "paid"]
    (directory / "statements.csv").write_bytes(to_csv(header, rows))
    with contextlib.suppress(RecordsInvalid):
        records = clean(CsvDirectory(directory).read())
        assert records.tables["statements"].num_rows == len(rows)
