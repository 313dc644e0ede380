"""How long records are kept: to the day, all or nothing, and not where a hold keeps them."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select

from api.cli.main import app
from node.records.cleaning import Records
from node.records.store import RecordStore
from node.retention.calendar import CHINA, Period, end_of, is_over, last_day, newest_over
from node.retention.records import without_due
from node.retention.schedule import SCHEDULE, RecordClass
from node.retention.service import RetentionService
from node.rights.errors import LegallyHeld
from node.storage import deletions
from node.storage.retention import HoldReleased
from node.storage.tables import outcome, score
from protocols.errors import InvalidInput
from tests.postgresql import on_each_database
from tests.regulator.world import ANNA, CUSTOMER, OTHER, World, open_world

FIVE = Period(years=5)
TODAY = date(2025, 3, 1)


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        (date(2020, 3, 15), date(2025, 3, 15)),
        (date(2020, 2, 29), date(2025, 2, 28)),  # no such day that year: the month's last
        (date(2019, 2, 28), date(2024, 2, 28)),  # a leap year gives no day more
        (date(2019, 12, 31), date(2024, 12, 31)),
    ],
)
def test_five_years_end_with_their_day(ended: date, last: date) -> None:
    """On the last day a record is still there; on the next it is due (Civil Code 201, 202)."""
    assert last_day(ended, FIVE) == last
    assert not is_over(ended, FIVE, last)
    assert is_over(ended, FIVE, last + timedelta(days=1))


def test_months_end_where_the_month_does() -> None:
    """31 January and one month end with February."""
    assert last_day(date(2023, 1, 31), Period(months=1)) == date(2023, 2, 28)
    assert last_day(date(2023, 12, 31), Period(years=1, months=2)) == date(2025, 2, 28)
    with pytest.raises(ValueError, match="a period"):
        Period()


@settings(max_examples=60, deadline=None)
@given(
    st.dates(date(1990, 1, 1), date(2090, 12, 31)),
    st.integers(0, 30),
    st.integers(0, 23),
)
def test_everything_up_to_the_newest_is_over_and_nothing_after(
    today: date, years: int, months: int
) -> None:
    """One day divides what is due from what is not, on every day there is."""
    period = Period(years, months) if years + months else FIVE
    newest = newest_over(period, today)
    assert is_over(newest, period, today)
    assert not is_over(newest + timedelta(days=1), period, today)


def test_a_day_is_one_in_china() -> None:
    """What ended at 23:59 in Beijing ended that day, whatever the server's zone."""
    late = datetime(2020, 3, 15, 23, 59, tzinfo=CHINA).astimezone(UTC)
    assert end_of(date(2020, 3, 15)) == int(late.timestamp() * 1000) + 60_000


def statements(*rows: tuple[str, str, date, str]) -> pa.Table:
    names = ("customer_id", "account_id", "month", "status")
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(names)})


def filings(*rows: tuple[str, date | None]) -> pa.Table:
    closed = pa.array([row[1] for row in rows], pa.date32())
    return pa.table({"customer_id": [row[0] for row in rows], "closed_on": closed})


def test_arrears_are_counted_from_their_end() -> None:
    """A row of late months goes together, five years after its last; one that goes on never."""
    table = statements(
        ("a", "1", date(2019, 12, 1), "1"),
        ("a", "1", date(2020, 1, 1), "2"),
        ("a", "1", date(2020, 2, 1), "N"),
        ("a", "2", date(2019, 12, 1), "1"),
        ("a", "2", date(2020, 3, 1), "2"),
        ("a", "2", date(2020, 4, 1), "C"),  # these ended on 31 March 2020
        ("b", "1", date(2015, 1, 1), "7"),  # never paid since
    )
    kept = without_due(Records({"statements": table}), TODAY, {})
    rows = kept.records.tables["statements"].to_pylist()
    assert kept.counts[RecordClass.LATE_STATEMENT] == (2, 0)
    assert [(row["account_id"], row["status"]) for row in rows] == [
        ("1", "N"), ("2", "1"), ("2", "2"), ("2", "C"), ("1", "7"),
    ]  # fmt: skip


def test_a_public_record_is_counted_from_its_closing() -> None:
    """To the day; an open one stays; what is held stays."""
    table = filings(
        ("a", date(2020, 2, 28)), ("a", date(2020, 3, 1)), ("b", date(2020, 2, 29)), ("c", None)
    )
    records = Records({"public_records": table})
    kept = without_due(records, TODAY, {RecordClass.PUBLIC_RECORD: {"b"}})
    assert kept.counts[RecordClass.PUBLIC_RECORD] == (1, 1)
    assert kept.records.tables["public_records"]["customer_id"].to_pylist() == ["a", "b", "c"]
    whole = without_due(records, TODAY, {RecordClass.PUBLIC_RECORD: None})
    assert whole.counts[RecordClass.PUBLIC_RECORD] == (0, 2)
    assert not whole.changed


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    with open_world(tmp_path, database_url=database_url) as opened:
        yield opened


def service(world: World) -> RetentionService:
    return RetentionService(
        world.node.database, world.node.audit, world.node.home / "records", lambda: world.at_ms
    )


def at(year: int, month: int, day: int, hour: int = 12) -> int:
    return int(datetime(year, month, day, hour, tzinfo=CHINA).timestamp() * 1000)


def count(world: World, table) -> int:
    with world.node.database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


@on_each_database
def test_a_run_deletes_to_the_day_and_says_so(world: World) -> None:
    """A score of three years ago stays on the last day; the next day it goes; again: nothing."""
    world.score(at(2023, 2, 28, 23))
    world.at_ms = at(2026, 2, 28, 23)
    assert service(world).run().counts["score"] == (0, 0)
    world.at_ms = at(2026, 3, 1, 0)
    assert service(world).run().counts["score"] == (1, 0)
    assert count(world, score) == 0
    assert service(world).run().counts["score"] == (0, 0)
    counts = [one["payload"]["counts"] for one in world.leaves("retention.run")]
    assert counts == [{}, {"score": [1, 0]}, {}]


@on_each_database
def test_a_run_that_is_not_logged_deletes_nothing(world: World) -> None:
    """Rows and files of records are as they were when the leaf cannot be written."""
    store = RecordStore(world.node.home / "records")
    records = Records({"customers": pa.table({"customer_id": ["a"], "identifier": ["i"]}),
                       "public_records": filings(("a", date(2001, 1, 1)))})  # fmt: skip
    with store.staged(records) as staged:
        staged.publish()
    world.score(at(2003, 1, 1))
    with pytest.raises(InvalidInput):
        service(world).run(actor="not an actor")
    assert count(world, score) == 1
    assert store.load().tables["public_records"].num_rows == 1
    done = service(world).run()
    assert done.counts["public_record"] == (1, 0)
    assert store.load().tables["public_records"].num_rows == 0
    assert service(world).run().counts.get("public_record", (0, 0)) == (0, 0)


@on_each_database
def test_once_a_day(world: World) -> None:
    """The running node's turn makes one run a day in China."""
    world.at_ms = at(2026, 3, 1, 0)
    assert service(world).run_if_due() is not None
    world.at_ms = at(2026, 3, 1, 23)
    assert service(world).run_if_due() is None
    world.at_ms = at(2026, 3, 2, 0)
    assert service(world).run_if_due() is not None


@on_each_database
def test_a_hold_wins(world: World) -> None:
    """What it keeps stays whatever its period, of that person alone; then it goes."""
    world.score(at(2003, 1, 1))
    world.score(at(2003, 1, 1), "sub_" + "b" * 26)
    held = service(world).hold("Court 2, (2026) 117", customer=CUSTOMER)
    assert service(world).run().counts["score"] == (1, 1)
    assert count(world, score) == 1
    service(world).release(held.hold_id)
    with pytest.raises(HoldReleased):
        service(world).release(held.hold_id)
    assert service(world).run().counts["score"] == (1, 0)
    assert [one["kind"] for one in world.leaves("retention.held")] == ["retention.held"]
    (placed,) = world.leaves("retention.held")
    (ended,) = world.leaves("retention.released")
    assert placed["correlation"] == ended["correlation"] == held.hold_id
    assert world.node.audit.is_about(placed["seq"], ANNA)


@on_each_database
def test_a_hold_of_one_class_keeps_no_other(world: World) -> None:
    """And one on everybody keeps everybody's."""
    world.score(at(2003, 1, 1))
    with world.node.database.write() as connection:
        row = {"pseudonym": ANNA, "label": 1, "observed_at_ms": at(2003, 1, 1)}
        connection.execute(insert(outcome), [row])
    service(world).hold("File 9", record_class="outcome")
    counts = service(world).run().counts
    assert (counts["score"], counts["outcome"]) == ((1, 0), (0, 1))
    with pytest.raises(InvalidInput):
        service(world).hold("File 9", record_class="everything")
    with pytest.raises(InvalidInput):
        service(world).hold("  ")


@on_each_database
def test_a_hold_stands_against_a_deletion_and_a_withdrawal(world: World) -> None:
    """Neither a person's deletion nor a consent's end takes what a court wants kept."""
    world.score(world.at_ms)
    service(world).hold("File 1", customer=CUSTOMER)
    with world.node.database.write() as connection:
        assert deletions.delete_scores(connection, "con_x") == 0
    deletion = world.node.rights.desk._deletion
    with world.node.database.write() as connection, pytest.raises(LegallyHeld):
        deletion.perform(connection, ANNA, "x", "stf_x", world.at_ms)


def test_every_class_has_a_schedule() -> None:
    """No class is kept for ever by being forgotten; adverse items end by law after five years."""
    assert set(SCHEDULE) == set(RecordClass)
    for rule in SCHEDULE.values():
        if rule.negative:
            assert (rule.period, rule.basis, rule.is_law) == (FIVE, "CRIR 16", True)


@on_each_database
def test_the_terminal_shows_holds_runs_and_releases(world: World, capsys) -> None:
    """Show, hold, run, release as an operator types them."""
    world.score(at(2003, 1, 1))

    def run(*words: str):
        app(["node", "retention", words[0], str(world.node.home), *words[1:], "--json"],
            standalone_mode=False)  # fmt: skip
        return json.loads(capsys.readouterr().out)

    hold = run("hold", "--customer", CUSTOMER, "--authority", "File 3")
    shown = run("show")
    assert {one["class"]: (one["due"], one["held"]) for one in shown["schedule"]}["score"] == (0, 1)
    assert run("run")["counts"]["score"] == [0, 1]
    run("release", hold["hold_id"])
    assert run("run")["counts"]["score"] == [1, 0]
    run("hold", "--customer", OTHER, "--authority", "File 4", "--class", "score")
