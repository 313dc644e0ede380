"""The mapping of the real file: what becomes of each column, and what bad files are told."""

import os
from pathlib import Path

import numpy as np
import pytest

from deploy.sandbox import records_out, uci
from deploy.sandbox.shape import BANK_SHARES, PUBLIC_RECORDS
from node.records.errors import (
    RecordsDuplicate,
    RecordsInvalid,
    RecordsMalformed,
    RecordsMissing,
)
from protocols.errors import InvalidInput
from tests.deploy.scorecard import held_out_auc, signals_of_everybody

ROWS = [
    # ID LIMIT SEX EDU MAR AGE  PAY_0..PAY_6        BILL_AMT1..6            PAY_AMT1..6       label
    [1, 20000, 2, 2, 1, 24, 2, 2, -1, -1, -2, -2, 3913, 3102, 689, 0, 0, 0, 0, 689, 0, 0, 0, 0, 1],
    [2, "5e+05", 1, 1, 2, 29, 8, 7, 0, 0, 0, 9, 100, 99, -3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 0],
    [3, 90000, 2, 2, 2, 34, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 1, 1, 1, 1, 1, 1, 0],
]
HEADER = [
    "ID", "LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE",
    "PAY_0", *(f"PAY_{n}" for n in range(2, 7)),
    *(f"BILL_AMT{n}" for n in range(1, 7)), *(f"PAY_AMT{n}" for n in range(1, 7)),
    "default.payment.next.month",
]  # fmt: skip
REAL = os.environ.get("CREDENCE_UCI_CSV")


def write(path, rows, header=HEADER):
    lines = [",".join(f'"{name}"' for name in header)]
    lines += [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def changed(row, column, value):
    rows = [list(one) for one in ROWS]
    rows[row][HEADER.index(column)] = value
    return rows


def test_months_run_from_april_to_september(tmp_path):
    people = uci.load(write(tmp_path / "uci.csv", ROWS), seed=1)
    assert [f"{month:%Y-%m}" for month in people.months] == [f"2005-0{m}" for m in range(4, 10)]
    assert people.status[0].tolist() == ["*", "*", "C", "C", "2", "2"]
    assert people.billed[0].tolist() == [0, 0, 0, 689, 3102, 3913]
    assert people.paid[1].tolist() == [6, 5, 4, 3, 2, 1]
    assert people.defaulted.tolist() == [1, 0, 0]
    assert people.credit_limit.tolist() == [20000, 500000, 90000]


def test_eight_and_nine_months_late_are_seven(tmp_path):
    people = uci.load(write(tmp_path / "uci.csv", ROWS), seed=1)
    assert people.status[1].tolist() == ["7", "N", "N", "N", "7", "7"]


def test_what_is_not_known_is_not_made_up(tmp_path):
    people = uci.load(write(tmp_path / "uci.csv", ROWS), seed=1)
    assert people.filings is None
    assert np.isnat(people.opened_on).all()
    assert people.at_payments.all()
    written = records_out.write(people, tmp_path / "inbox", tmp_path / "holdout.csv")
    public = written.directories[PUBLIC_RECORDS]
    assert [path.name for path in public.iterdir()] == ["customers.csv"]


def test_sex_education_and_marriage_change_nothing(tmp_path):
    people = uci.load(write(tmp_path / "one.csv", ROWS), seed=1)
    other = [[*row[:2], 9, 9, 9, *row[5:]] for row in ROWS]
    twin = uci.load(write(tmp_path / "two.csv", other), seed=1)
    for name in ("bank", "credit_limit", "status", "billed", "paid", "defaulted", "person_id"):
        assert np.array_equal(getattr(people, name), getattr(twin, name))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("PAY_3", 10),
        ("PAY_3", "x"),
        ("PAY_3", ""),
        ("LIMIT_BAL", -1),
        ("LIMIT_BAL", "1.5"),
        ("LIMIT_BAL", "nan"),
        ("BILL_AMT2", "1e+99"),
        ("PAY_AMT6", -1),
        ("AGE", 7),
        ("default.payment.next.month", 2),
    ],
)
def test_a_wrong_value_is_named_by_line_and_column(tmp_path, column, value):
    path = write(tmp_path / "uci.csv", changed(1, column, value))
    with pytest.raises(RecordsInvalid) as raised:
        uci.load(path, seed=1)
    assert (raised.value.line, raised.value.column) == (3, column)


def test_a_client_twice_is_named(tmp_path):
    with pytest.raises(RecordsDuplicate, match="line 4, column ID"):
        uci.load(write(tmp_path / "uci.csv", changed(2, "ID", 1)), seed=1)


def test_a_missing_column_is_named(tmp_path):
    path = write(tmp_path / "uci.csv", [row[:-1] for row in ROWS], HEADER[:-1])
    with pytest.raises(RecordsMalformed, match=r"column default\.payment\.next\.month"):
        uci.load(path, seed=1)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecordsMissing, match="No such file") as raised:
        uci.load(tmp_path / "nothing.csv", seed=1)
    assert isinstance(raised.value, InvalidInput)
    assert "--data" in raised.value.next_step


def test_a_header_without_clients_is_refused(tmp_path):
    with pytest.raises(RecordsInvalid, match="holds nobody"):
        uci.load(write(tmp_path / "uci.csv", []), seed=1)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not REAL, reason="CREDENCE_UCI_CSV does not name the real data file")
def test_the_real_clients_form_three_banks_whose_exchanged_signals_help(tmp_path):
    people = uci.load(Path(REAL or ""), seed=0)
    assert len(people) == 30_000
    assert people.defaulted.mean() == pytest.approx(0.2212, abs=1e-4)
    np.testing.assert_allclose(np.bincount(people.bank) / len(people), BANK_SHARES)
    status, value = signals_of_everybody(people, tmp_path)
    bank = held_out_auc(people, status, value, ["bank"])
    combined = held_out_auc(people, status, value, ["bank", "payments", "public"])
    assert 0.70 <= bank < combined - 0.005
    assert combined <= 0.85
