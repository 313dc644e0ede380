"""A process that appends until it is killed: `python -m tests.audit.appender HOME [DIE_AT]`.

Each transaction writes one business row and its leaf, and sometimes a few more of both; after the
commit returns, the row's number goes to standard output. With DIE_AT the process kills itself
(SIGKILL) at that database event, counted from its fourth transaction on; an event is one statement
sent, a commit about to be sent, or a commit that came back.
"""

import hashlib
import itertools
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

from sqlalchemy import event, text

from tests.audit.world import World, entry, open_world

WARM_UP = 3
LARGE = 300  # rows of every third transaction, from the first on: more than a tile


class FailPoint:
    """Counts database events and dies at one."""

    def __init__(self, die_at: int) -> None:
        self.left = die_at
        self.armed = False
        self.last = ""

    def watch(self, driver: sqlite3.Connection, *_: object) -> None:
        """Count what is sent on a connection, however it is sent."""
        if self.armed:
            driver.set_trace_callback(self)

    def __call__(self, sql: str) -> None:
        # A statement is told again for every trigger that it fires, and for every row.
        told = sql[:20] if sql.startswith("INSERT INTO business") else sql
        again, self.last = told == self.last, told
        if self.armed and not again:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def create_business_table(world: World) -> None:
    with world.database.write() as connection:
        connection.execute(
            text(
                "CREATE TABLE IF NOT EXISTS business"
                " (number TEXT PRIMARY KEY, leaf_seq INTEGER NOT NULL UNIQUE)"
            )
        )


def act(world: World, numbers: list[str]) -> None:
    """Business rows and their leaves in one transaction."""
    with world.database.write() as connection:
        first = world.log.head(connection).size
        connection.execute(
            text("INSERT INTO business VALUES (:number, :seq)"),
            [{"number": number, "seq": seq} for seq, number in enumerate(numbers, first)],
        )
        world.log.append_many(
            connection,
            [
                entry(
                    correlation=number,
                    subject=hashlib.sha256(number.encode()).digest() if at % 2 else None,
                )
                for at, number in enumerate(numbers)
            ],
        )


def main(home: Path, die_at: int) -> None:
    world = open_world(home)
    create_business_table(world)
    point = FailPoint(die_at)
    if die_at:
        event.listen(world.database.engine, "checkout", point.watch)
    for turn in itertools.count():
        point.armed = turn >= WARM_UP
        rows = 1 if turn % 3 else LARGE
        numbers = [f"{os.getpid()}.{turn}.{row}" for row in range(rows)]
        act(world, numbers)
        point("answer")
        sys.stdout.write("".join(number + "\n" for number in numbers))
        sys.stdout.flush()
        time.sleep(0.003)  # SQLite's lock is not fair; let others in


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
