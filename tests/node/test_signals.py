"""Signals computed from records: units, windows, statuses."""

import json
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalogue import SignalStatus, load_default
from node.records.cleaning import clean
from node.records.connectors import CsvDirectory
from node.signals.compute import compute
from node.signals.definitions import DEFINITIONS
from node.signals.windows import AsOf
from protocols.v1 import exchange_pb2
from tests.node.ingest_world import identifier, write_tables

PRESENT, NONE, NOT_HELD = (
    SignalStatus.PRESENT,
    SignalStatus.NONE_ON_RECORD,
    SignalStatus.NOT_HELD,
)
JULY = AsOf(int(datetime(2025, 7, 1, tzinfo=UTC).timestamp() * 1000))
SIGNALS = [spec.id for spec in load_default().signals if spec.derived is None]
ONE = [["c1", identifier(1)]]
MONTHS = ["2025-01", "2025-02", "2025-03", "2025-04", "2025-05", "2025-06"]


@pytest.fixture
def signals_of(tmp_path):
    def run(as_of=JULY, **tables):
        tables.setdefault("customers", ONE)
        matrix = compute(
            clean(CsvDirectory(write_tables(tmp_path, **tables)).read()), SIGNALS, as_of
        )
        found = zip(SIGNALS, matrix.status[0], matrix.value[0], strict=True)
        return {signal: (SignalStatus(status), value) for signal, status, value in found}

    return run


def statuses(codes, account="a"):
    """Status rows whose last month is June 2025."""
    months = MONTHS[-len(codes) :]
    return [["c1", account, m, code, "", ""] for m, code in zip(months, codes, strict=True)]


def amounts(pairs):
    months = MONTHS[-len(pairs) :]
    return [["c1", "a", m, "", b, p] for m, (b, p) in zip(months, pairs, strict=True)]


def public(*rows):
    return [["c1", *row] for row in rows]


def test_every_signal_of_the_catalogue_that_is_not_derived_is_defined():
    assert set(DEFINITIONS) == set(SIGNALS)


def test_statuses_are_the_numbers_of_the_wire():
    assert PRESENT == exchange_pb2.SIGNAL_STATUS_PRESENT
    assert NONE == exchange_pb2.SIGNAL_STATUS_NONE_ON_RECORD
    assert NOT_HELD == exchange_pb2.SIGNAL_STATUS_NOT_HELD


def test_a_bank_computes_its_block_and_holds_no_other(signals_of):
    found = signals_of(accounts=[["c1", "a", "", 5000, "CNY"]], statements=statuses("*CN12N"))
    held = {signal: value for signal, (status, value) in found.items() if status == PRESENT}
    assert held == {
        "credit_limit": 5000,
        "current_status": 0,
        "worst_status_3m": 2,
        "worst_status_6m": 2,
        "late_months_6m": 2,
        "late60_months_6m": 1,
        "months_since_late": 1,
        "inactive_months_6m": 1,
        "cleared_months_6m": 1,
    }
    catalogue = load_default()
    others = {s for s in SIGNALS if catalogue.signal(s).block != "bank"}
    assert {signal for signal, (status, _) in found.items() if status == NOT_HELD} == others


@pytest.mark.parametrize(
    ("code", "number"), [("*", -2), ("C", -1), ("N", 0), ("1", 1), ("6", 6), ("7", 7)]
)
def test_month_status_codes_become_status_numbers(signals_of, code, number):
    assert signals_of(statements=statuses(code))["current_status"] == (PRESENT, number)


def test_never_late_is_none_on_record_not_zero(signals_of):
    found = signals_of(statements=statuses("CCCCCC"))
    assert found["months_since_late"] == (NONE, 0)
    assert found["late_months_6m"] == (PRESENT, 0)


def test_late_in_the_latest_month_is_zero_months_ago(signals_of):
    assert signals_of(statements=statuses("NNNNN1"))["months_since_late"] == (PRESENT, 0)


def test_a_known_customer_without_statements_is_none_on_record(signals_of):
    found = signals_of(
        customers=[["c1", identifier(1)], ["c2", identifier(2)]],
        statements=[["c2", "a", "2025-06", "N", "", ""]],
    )
    assert found["current_status"] == found["late_months_6m"] == (NONE, 0)
    assert found["credit_limit"][0] == NOT_HELD


def test_several_accounts_give_the_worst_status_and_the_sum_of_limits(signals_of):
    found = signals_of(
        accounts=[["c1", "a", "", 100, "CNY"], ["c1", "b", "", 250.5, "CNY"]],
        statements=statuses("C2", "a") + statuses("1N", "b"),
    )
    assert found["credit_limit"] == (PRESENT, 350.5)
    assert found["worst_status_3m"] == found["current_status"] == (PRESENT, 2)
    assert found["late_months_6m"] == (PRESENT, 2)
    assert found["cleared_months_6m"] == (PRESENT, 0)


def test_the_month_of_as_of_and_later_ones_are_not_seen(signals_of):
    rows = [
        ["c1", "a", m, c, "", ""] for m, c in [("2025-05", "N"), ("2025-06", "1"), ("2025-07", "7")]
    ]
    assert signals_of(statements=rows)["worst_status_6m"] == (PRESENT, 1)
    last_moment = AsOf(JULY.at_ms - 1)
    assert signals_of(as_of=last_moment, statements=rows)["worst_status_6m"] == (PRESENT, 0)
    later = AsOf(JULY.at_ms + 14 * 86_400_000)
    assert signals_of(as_of=later, statements=rows)["current_status"] == (PRESENT, 1)


def test_six_months_are_six_calendar_months(signals_of):
    rows = [["c1", "a", "2024-12", "7", "", ""], ["c1", "a", "2025-01", "3", "", ""]]
    found = signals_of(statements=rows)
    assert found["worst_status_6m"] == (PRESENT, 3)
    assert found["worst_status_3m"] == found["current_status"] == (NONE, 0)
    assert found["months_since_late"] == (PRESENT, 5)


def test_windows_cross_the_year(signals_of):
    rows = [["c1", "a", "2024-12", "2", "", ""], ["c1", "a", "2025-01", "N", "", ""]]
    february = AsOf.after(date(2025, 1, 1))
    assert february.day == date(2025, 2, 1)
    assert signals_of(as_of=february, statements=rows)["months_since_late"] == (PRESENT, 1)
    assert AsOf.after(date(2024, 12, 1)).day == date(2025, 1, 1)


def test_payments_computes_its_block_and_holds_no_status(signals_of):
    rows = amounts([(600, 0), (500, 100), (400, 0), (300, 30), (200, 20), (100, 50)])
    found = signals_of(statements=rows)
    held = {signal: value for signal, (status, value) in found.items() if status == PRESENT}
    assert held == {
        "statement_balance": 100,
        "paid_ratio_1m": 0.5,
        "paid_ratio_3m": pytest.approx(100 / 600),
        "paid_ratio_6m": pytest.approx(200 / 2100),
        "balance_slope_6m": pytest.approx(-100 / 350),
        "unpaid_months_6m": 2,
        "paid_amount_1m": 50,
        "paid_amount_3m": 100,
    }
    assert found["current_status"] == found["credit_limit"] == (NOT_HELD, 0)


def test_nothing_billed_has_no_paid_ratio(signals_of):
    found = signals_of(statements=amounts([(0, 0), (-20, 5), (0, 0)]))
    assert found["paid_ratio_6m"] == (NONE, 0)
    assert found["statement_balance"] == (PRESENT, 0)
    assert found["paid_amount_3m"] == (PRESENT, 5)
    assert found["unpaid_months_6m"] == (PRESENT, 0)


def test_a_paid_ratio_is_capped(signals_of):
    assert signals_of(statements=amounts([(10, 1000)]))["paid_ratio_1m"] == (PRESENT, 1.5)


@pytest.mark.parametrize(
    "pairs", [[(100, 0)], [(100, 0), (200, 0)], [(0, 0)] * 6], ids=["one", "two", "all zero"]
)
def test_a_slope_needs_three_months_and_some_balance(signals_of, pairs):
    assert signals_of(statements=amounts(pairs))["balance_slope_6m"] == (NONE, 0)


def test_a_slope_is_bounded(signals_of):
    rows = amounts([(-1000, 0), (-5, 0), (1000, 0)])
    assert signals_of(statements=rows)["balance_slope_6m"] == (PRESENT, 1)
    rows = amounts([(1000, 0), (-5, 0), (-1000, 0)])
    assert signals_of(statements=rows)["balance_slope_6m"] == (PRESENT, -1)


@given(
    billed=st.lists(st.integers(-(10**6), 10**6), min_size=3, max_size=6),
)
@settings(max_examples=12, deadline=None)
def test_a_slope_is_the_least_squares_slope(tmp_path_factory, billed):
    directory = tmp_path_factory.mktemp("slope")
    rows = amounts([(amount, 0) for amount in billed])
    records = clean(CsvDirectory(write_tables(directory, customers=ONE, statements=rows)).read())
    matrix = compute(records, ["balance_slope_6m"], JULY)
    scale = np.abs(billed).mean()
    if scale == 0:
        assert matrix.status[0, 0] == NONE
        return
    slope = np.polyfit(np.arange(len(billed)), np.array(billed) / scale, 1)[0]
    assert matrix.value[0, 0] == pytest.approx(np.clip(slope, -1, 1), abs=1e-9)


def test_a_publisher_answers_none_on_record_for_a_known_person(signals_of):
    found = signals_of(public_records=[])
    blocks = load_default()
    for signal in SIGNALS:
        expected = NONE if blocks.signal(signal).block == "public" else NOT_HELD
        assert found[signal] == (expected, 0)


def test_a_node_without_a_public_record_table_holds_none(signals_of):
    assert {status for status, _ in signals_of().values()} == {NOT_HELD}


def test_open_entries_count_and_closed_ones_are_off_the_record(signals_of):
    found = signals_of(
        public_records=public(
            ("enforcement", 1000, "2020-01-01", ""),
            ("enforcement", 500, "2024-01-01", "2025-07-01"),
            ("enforcement", 70, "2024-01-01", "2025-06-30"),
            ("tax_arrears", 9, "2024-01-01", "2024-02-01"),
            ("dishonest_debtor", "", "2024-01-01", "2025-01-01"),
        )
    )
    assert found["enforcement_amount"] == (PRESENT, 1500)
    assert found["tax_arrears"] == found["dishonest_debtor"] == (NONE, 0)


def test_a_listing_in_force_is_a_flag(signals_of):
    rows = public(("dishonest_debtor", "", "2024-01-01", ""))
    assert signals_of(public_records=rows)["dishonest_debtor"] == (PRESENT, 1)


def test_suits_count_for_24_months_open_or_closed(signals_of):
    found = signals_of(
        public_records=public(
            ("defendant_suit", "", "2023-06-30", ""),  # one day too old
            ("defendant_suit", "", "2023-07-01", "2023-08-01"),
            ("defendant_suit", 10, "2025-06-30", ""),
            ("defendant_suit", "", "2025-07-01", ""),  # the day of as_of
        )
    )
    assert found["defendant_suits_24m"] == (PRESENT, 2)


@pytest.mark.parametrize(("filed", "seen"), [("2023-07-14", NONE), ("2023-07-15", PRESENT)])
def test_months_of_filings_count_from_the_day_of_as_of(signals_of, filed, seen):
    middle = AsOf(JULY.at_ms + 14 * 86_400_000)
    found = signals_of(as_of=middle, public_records=public(("defendant_suit", "", filed, "")))
    assert found["defendant_suits_24m"][0] == seen


def test_a_signal_nobody_defined_is_not_held(tmp_path):
    records = clean(CsvDirectory(write_tables(tmp_path, customers=ONE)).read())
    matrix = compute(records, ["enquiries_6m"], JULY)
    assert (matrix.status[0, 0], matrix.rows()) == (NOT_HELD, [{}])


def test_rows_follow_the_customers_and_are_plain_json(tmp_path):
    customers = [[f"c{n}", identifier(n)] for n in (3, 1, 2)]
    accounts = [[f"c{n}", "a", "", n, "CNY"] for n in (1, 2, 3)]
    directory = write_tables(tmp_path, customers=customers, accounts=accounts)
    matrix = compute(clean(CsvDirectory(directory).read()), SIGNALS, JULY)
    assert matrix.customer_ids == ("c3", "c1", "c2")
    assert json.loads(json.dumps(matrix.rows())) == [
        {"credit_limit": [1, float(n)]} for n in (3, 1, 2)
    ]
    assert matrix.counts() == {"credit_limit": {"present": 3, "none_on_record": 0}}
