"""kill -9 at any point: each committed row has exactly one leaf, each acknowledged row is there."""

import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import event, text

from audit.database import DatabaseUnavailable
from audit.leaf import parse_leaf
from audit.verifier import Outcome, verify_path
from tests.audit.appender import LARGE, act, create_business_table
from tests.audit.world import open_world

ROOT = Path(__file__).parents[2]
EVENTS = range(1, 24)  # the fourth transaction has some 21; the last runs die in the fifth


@dataclass
class Appender:
    """A running `tests.audit.appender`, its answers going to a file."""

    process: subprocess.Popen[bytes]
    answers: Path

    def wait_for_an_answer(self) -> None:
        deadline = time.monotonic() + 60
        while not self.answers.stat().st_size:
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def acknowledged(self) -> set[str]:
        """What it answered before it was killed."""
        assert self.process.wait(timeout=60) == -signal.SIGKILL
        complete, _, _ = self.answers.read_text().rpartition("\n")
        return set(complete.split("\n")) - {""}


Start = Callable[..., Appender]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts appenders; none outlives its test, however that ends."""
    started: list[Appender] = []

    def one(home: Path, die_at: int = 0) -> Appender:
        command = [sys.executable, "-m", "tests.audit.appender", str(home), str(die_at)]
        answers = home.parent / f"answers-{secrets.token_hex(4)}"
        with answers.open("wb") as stream:
            process = subprocess.Popen(command, cwd=ROOT, stdout=stream)
        started.append(Appender(process, answers))
        return started[-1]

    yield one
    for appender in started:
        appender.process.kill()
        appender.process.wait()


def check(home: Path, acknowledged: set[str]) -> int:
    """The promise; returns how many rows there are."""
    world = open_world(home)
    with world.database.read() as connection:
        business = connection.execute(text("SELECT number, leaf_seq FROM business"))
        rows = {row.number: row.leaf_seq for row in business}
        leaves = list(world.log.leaves(connection, 0, 1 << 40))
        size = world.log.head(connection).size
    correlations = [parse_leaf(leaf.leaf)["correlation"] for leaf in leaves]
    assert Counter(correlations) == Counter(list(rows))
    assert all(correlations[seq] == number for number, seq in rows.items())
    assert acknowledged <= rows.keys()
    assert size == len(leaves)
    report = verify_path(home)
    assert report.outcome is Outcome.VALID, report.lines()
    for seq in (0, size // 2, size - 1):
        world.log.payload(seq)  # its data key was committed before it
    world.close()
    return size


def test_a_process_killed_at_any_step_of_a_transaction_leaves_rows_and_leaves_in_pairs(
    tmp_path: Path, start: Start
) -> None:
    running = {die_at: start(tmp_path / str(die_at), die_at) for die_at in EVENTS}
    before = LARGE + 2
    found = set()
    for die_at, appender in running.items():
        known = appender.acknowledged()
        found.add((check(tmp_path / str(die_at), known), len(known)))
    assert found == {
        (before, before),  # died before the commit
        (before + LARGE, before),  # after it, before the answer
        (before + LARGE, before + LARGE),  # after the answer
    }


def test_a_process_killed_at_any_moment_and_started_again_goes_on(
    tmp_path: Path, start: Start
) -> None:
    home, known, size = tmp_path / "home", set[str](), 0
    for wait in (0.05, 0.013):
        appender = start(home)
        appender.wait_for_an_answer()
        time.sleep(wait)
        appender.process.kill()
        known |= appender.acknowledged()
        grown = check(home, known)
        assert grown > size
        size = grown


def test_several_processes_append_to_one_log_without_gap_or_double(
    tmp_path: Path, start: Start
) -> None:
    home = tmp_path / "home"
    world = open_world(home)
    create_business_table(world)
    world.close()
    running = [start(home) for _ in range(3)]
    for appender in running:
        appender.wait_for_an_answer()
    time.sleep(0.2)
    for appender in running:
        appender.process.kill()
    answers = [appender.acknowledged() for appender in running]
    assert all(answers)
    check(home, set().union(*answers))


@pytest.mark.parametrize("full", ["node.db", "datakeys.db"])
def test_a_full_disk_writes_nothing_and_the_log_goes_on_when_there_is_room(
    tmp_path: Path, full: str
) -> None:
    world = open_world(tmp_path / "home")
    create_business_table(world)
    act(world, ["first"])
    database = world.database if full == "node.db" else world.keys_database
    database.engine.dispose()
    event.listen(database.engine, "connect", no_more_pages)
    with pytest.raises(DatabaseUnavailable):
        act(world, [f"second.{number}" for number in range(2_000)])
    event.remove(database.engine, "connect", no_more_pages)
    database.engine.dispose()
    act(world, ["third"])
    world.close()
    assert check(tmp_path / "home", {"first", "third"}) == 2


def no_more_pages(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA max_page_count=1")  # that is, no more than there are
