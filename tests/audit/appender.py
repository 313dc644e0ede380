"""Processes that append until they are killed.

    python -m tests.audit.appender HOME [URL]              appends until somebody kills it
    python -m tests.audit.appender HOME URL DIE_AT,...     a process for each DIE_AT

Each act writes business rows and their leaves in one transaction. When it is answered for (the
commit came back; for a parallel act, its leaves have their numbers) the rows go to standard output.
Before the first act a process gives out the head that it finds, as one that signs heads would.
A process with a DIE_AT kills itself (SIGKILL) at that database event of its own: a statement sent,
a commit about to be sent, or an answer about to be given.
"""

import itertools
import os
import signal
import sys
import time
from pathlib import Path

from sqlalchemy import event, text

from audit.tiles import TILE_WIDTH
from tests.audit.world import World, entry, open_world

HEAD = "head"
ROWS = 8  # of every third act, from the first on


class FailPoint:
    """Counts database events and dies at one; 0: at none."""

    def __init__(self, die_at: int) -> None:
        self.left = die_at
        self.last = ""

    def watch(self, world: World) -> None:
        """Count what is sent from now on."""
        engine = world.database.engine
        if engine.dialect.name == "sqlite":
            # However it is sent: the bulk statements go to the driver itself.
            event.listen(engine, "checkout", lambda driver, *_: driver.set_trace_callback(self))
        else:
            event.listen(engine, "before_cursor_execute", lambda *of: self(of[2]))
            event.listen(engine, "commit", lambda _: self("COMMIT"))

    def __call__(self, sql: str) -> None:
        # SQLite tells a statement again for every trigger that it fires, and for every row.
        told = sql[:20] if sql.startswith("INSERT INTO business") else sql
        again, self.last = told == self.last, told
        if not again:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def create_business_table(world: World) -> None:
    with world.database.write() as connection:
        connection.execute(
            text("CREATE TABLE IF NOT EXISTS business (number VARCHAR(80) PRIMARY KEY)")
        )


def act(world: World, numbers: list[str], *, parallel: bool = False) -> None:
    """Business rows and their leaves in one transaction."""
    entries = [
        entry(correlation=number, subject=number.encode().ljust(32) if at % 2 else None)
        for at, number in enumerate(numbers)
    ]
    with world.database.write(parallel=parallel) as connection:
        connection.execute(
            text("INSERT INTO business VALUES (:number)"),
            [{"number": number} for number in numbers],
        )
        if parallel:
            submitted = world.log.submit(connection, entries)
        else:
            world.log.append_many(connection, entries)
    if parallel:
        world.log.wait(submitted)


def run(home: Path, url: str, die_at: int = 0) -> None:
    world = open_world(home, url)
    create_business_table(world)
    room = -world.log.head().size % TILE_WIDTH
    if room > ROWS - 2:  # so that the first act makes a tile full
        act(world, [f"fill.{os.getpid()}.{row}" for row in range(room - ROWS + 2)])
    head = world.log.checkpoint()
    sys.stdout.write(f"{HEAD} {head.size} {head.root.hex()}\n")
    sys.stdout.flush()
    point = FailPoint(die_at)
    point.watch(world)
    for turn in itertools.count():
        rows = 1 if turn % 3 else ROWS
        numbers = [f"{die_at}.{os.getpid()}.{turn}.{row}" for row in range(rows)]
        act(world, numbers, parallel=turn % 2 == 0)
        point("answer")
        sys.stdout.write("".join(number + "\n" for number in numbers))
        sys.stdout.flush()
        time.sleep(0.003)  # SQLite's lock is not fair; let others in


def run_each(home: Path, url: str, events: list[int]) -> None:
    """A process for each event; forked, so that only the first one loads the program."""
    for die_at in events:
        process = os.fork()
        if process == 0:
            run(home, url, die_at)
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


if __name__ == "__main__":
    _, home, *rest = sys.argv
    url = rest[0] if rest else ""
    if len(rest) > 1:
        run_each(Path(home), url, [int(number) for number in rest[1].split(",")])
    else:
        run(Path(home), url)
