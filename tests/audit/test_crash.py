"""kill -9 at any point: each committed row has exactly one leaf, each answered one is there."""

import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from audit.database import DatabaseUnavailable
from audit.leaf import parse_leaf
from audit.merkle import Frontier, leaf_hash
from audit.verifier import Outcome, verify_path
from tests.audit.appender import HEAD, act, create_business_table
from tests.audit.world import World, entry, open_world
from tests.postgresql import Server, serving

ROOT = Path(__file__).parents[2]
# The first act of a process has as many events, but for the last, which is of its second.
EVENTS = {"sqlite": range(1, 16), "postgresql": range(1, 21)}


@dataclass
class Appender:
    """A running `tests.audit.appender`, its answers going to a file."""

    process: subprocess.Popen[bytes]
    answers: Path

    def wait_for_an_answer(self) -> None:
        deadline = time.monotonic() + 60
        while not self.answers.read_text().partition("\n")[2]:  # after the head
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def acknowledged(self, ended: int = -signal.SIGKILL) -> set[str]:
        """The rows that it answered for before it ended."""
        assert self.process.wait(timeout=3_600) == ended
        return {line for line in self._lines() if not line.startswith(HEAD)} - {""}

    def heads(self) -> list[tuple[int, bytes]]:
        """Sizes and roots that it gave out."""
        said = [line.split(" ") for line in self._lines() if line.startswith(HEAD)]
        return [(int(size), bytes.fromhex(root)) for _, size, root in said]

    def _lines(self) -> list[str]:
        complete, _, _ = self.answers.read_text().rpartition("\n")
        return complete.split("\n")


Start = Callable[..., Appender]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts appenders; none outlives its test, however that ends."""
    started: list[Appender] = []

    def one(home: Path, *arguments: str) -> Appender:
        command = [sys.executable, "-m", "tests.audit.appender", str(home), *arguments]
        answers = home.parent / f"answers-{secrets.token_hex(4)}"
        with answers.open("wb") as stream:
            process = subprocess.Popen(command, cwd=ROOT, stdout=stream)
        started.append(Appender(process, answers))
        return started[-1]

    yield one
    for appender in started:
        appender.process.kill()
        appender.process.wait()


def check(
    world: World, acknowledged: set[str], given: Sequence[tuple[int, bytes]] = ()
) -> set[str]:
    """The promise; returns the rows that there are. Each head given out is the log's of then."""
    if world.log.sequencer is not None:
        world.log.sequencer.step()  # as whoever leads next does
    with world.database.read() as connection:
        rows = set(connection.execute(text("SELECT number FROM business")).scalars())
        leaves = list(world.log.leaves(connection, 0, 1 << 40))
        head = world.log.head(connection)
    correlations = [parse_leaf(leaf.leaf)["correlation"] for leaf in leaves]
    assert Counter(correlations) == Counter(list(rows))
    assert acknowledged <= rows
    assert [leaf.seq for leaf in leaves] == list(range(head.size))
    tree, roots = Frontier(), {0: Frontier().root()}
    for leaf in leaves:
        tree = tree.extend([leaf_hash(leaf.leaf)])
        roots[leaf.seq + 1] = tree.root()
    assert head.root == tree.root()
    assert [size for size, _ in given] == sorted(size for size, _ in given)
    assert all(roots[size] == root for size, root in given)
    for seq in (0, head.size // 2, head.size - 1):
        world.log.payload(seq)  # its data key was committed before it
    if world.log.sequencer is None:
        report = verify_path(world.home)
        assert report.outcome is Outcome.VALID, report.lines()
    return rows


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_process_killed_at_any_step_of_an_act_leaves_rows_and_leaves_in_pairs(
    tmp_path: Path, start: Start, database: str, request: pytest.FixtureRequest
) -> None:
    cycles = request.config.getoption("--cycles")
    events = list(EVENTS[database])
    events += random.Random(cycles).choices(events, k=cycles)
    home, url = tmp_path / "home", ""
    if database == "postgresql":
        url = request.getfixturevalue("postgresql").url()
    open_world(home, url).close()
    appender = start(home, url, ",".join(map(str, events)))
    known = appender.acknowledged(ended=0)
    world = open_world(home, url)
    heads = appender.heads()
    assert len(heads) == len(events)
    rows = check(world, known, heads)
    world.close()
    # In its first act: died before the commit, between commit and answer, after the answer.
    seen = {_first_act(name) for name in rows} - {"fill"}
    answered = {_first_act(name) for name in known}
    for die_at in {str(event) for event in EVENTS[database]}:
        assert die_at not in answered or die_at in seen
    assert len(answered) < len(seen) < len(EVENTS[database])
    assert answered


def _first_act(name: str) -> str:
    """The event at which its process was to die."""
    return name.split(".", maxsplit=1)[0]


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
        world = open_world(home)
        grown = len(check(world, known))
        world.close()
        assert grown > size
        size = grown


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_several_processes_append_to_one_log_without_gap_or_double(
    tmp_path: Path, start: Start, database: str, request: pytest.FixtureRequest
) -> None:
    home, url = tmp_path / "home", ""
    if database == "postgresql":
        url = request.getfixturevalue("postgresql").url()
    world = open_world(home, url)
    create_business_table(world)
    running = [start(home, url) for _ in range(2)]
    for appender in running:
        appender.wait_for_an_answer()
    time.sleep(0.1)
    for appender in running:
        appender.process.kill()
    answers = [appender.acknowledged() for appender in running]
    assert all(answers)
    check(world, set().union(*answers))
    world.close()


def test_a_database_server_that_is_killed_loses_nothing_that_was_answered_for(
    tmp_path: Path, postgresql: Server
) -> None:
    with serving() as server:
        world = open_world(tmp_path / "home", server.url())
        create_business_table(world)
        world.log.sequencer.start()
        act(world, ["first"], parallel=True)
        with world.database.write(parallel=True) as connection:
            world.log.submit(connection, [entry(correlation="second")])
            connection.execute(text("INSERT INTO business VALUES ('second')"))
        with (  # noqa: PT012
            pytest.raises(DatabaseUnavailable),
            world.database.write(parallel=True) as connection,
        ):
            world.log.submit(connection, [entry(correlation="third")])
            connection.execute(text("INSERT INTO business VALUES ('third')"))
            server.crash()
        server.start()
        world.database.engine.dispose()
        act(world, ["fourth"], parallel=True)  # its own thread leads again, or the act itself does
        world.log.sequencer.stop()
        assert check(world, {"first", "second", "fourth"}) == {"first", "second", "fourth"}
        world.close()
