"""A log on disk and what its tests share."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, update

from audit.bulk import BulkInsert
from audit.database import Database
from audit.leaf import Entry, seal_entries
from audit.merkle import Frontier, leaf_hash
from audit.shredding import DataKeys
from audit.store import AuditLog, create_audit_schema
from audit.tables import audit_head, audit_leaf, audit_payload
from audit.tree_rows import store_tiles
from audit.verifier import Outcome, verify_path
from audit.witness_tables import create_witness_schema

KEK = bytes(range(32))
INDEX_KEY = bytes(range(32, 64))
ORIGIN = "credence.example/bank-a"


class ActFailed(Exception):
    """The business act that a transaction was for has failed."""


@dataclass
class World:
    """One home: its log, its database and its data keys."""

    home: Path
    url: str
    database: Database
    keys_database: Database
    keys: DataKeys
    log: AuditLog

    def append(self, *entries: Entry) -> None:
        with self.database.write() as connection:
            self.log.append_many(connection, entries)

    def fill(self, count: int, batch: int = 512) -> None:
        start = self.log.head().size
        for at in range(start, start + count, batch):
            stop = min(at + batch, start + count)
            self.append(*(entry(number) for number in range(at, stop)))

    def prefill(self, count: int) -> None:
        """Make an empty log hold `count` times the same leaf, without encrypting each."""
        key = self.keys.keys_for([(b"", "score")])[b"", "score"]
        (sealed,) = seal_entries([entry()], [key])
        hashes = [leaf_hash(sealed.leaf)] * count
        frontier = Frontier().extend(hashes)
        rows = [(seq, sealed.leaf, hashes[0]) for seq in range(count)]
        with self.database.write() as connection:
            BulkInsert(audit_leaf)(connection, rows)
            payloads = [(seq, sealed.ciphertext) for seq in range(count)]
            BulkInsert(audit_payload)(connection, payloads)
            store_tiles(connection, 0, hashes)
            connection.execute(
                update(audit_head).values(
                    size=count, root=frontier.root(), frontier=frontier.to_bytes()
                )
            )

    def restarted(self) -> "World":
        """The same home and database, opened anew."""
        self.close()
        return open_world(self.home, self.url)

    def close(self) -> None:
        self.database.close()
        self.keys_database.close()


def open_world(home: Path, url: str = "") -> World:
    """A log in `url`; without one, in SQLite's file in `home`."""
    home.mkdir(exist_ok=True)
    url = url or f"sqlite:///{home}/node.db"
    database = Database(url)
    with database.read() as connection:
        new = not inspect(connection).has_table(audit_head.name)
    if new:
        with database.write() as connection:
            create_audit_schema(connection)
            create_witness_schema(connection)
    keys_database = Database(f"sqlite:///{home}/datakeys.db")
    keys = DataKeys(keys_database, KEK)
    log = AuditLog(ORIGIN, database, keys, INDEX_KEY)
    return World(home, url, database, keys_database, keys, log)


def entry(number: int = 0, *, subject: bytes | None = None, **changes: Any) -> Entry:
    fields = {
        "kind": "signals.released",
        "actor": "bank-a",
        "purpose": "score",
        "correlation": f"req_{number}",
        "payload": {"number": number},
        "subject": subject,
        "at_ms": 1_700_000_000_000 + number,
    }
    return Entry(**{**fields, **changes})


@contextmanager
def by_hand(home: Path) -> Iterator[sqlite3.Connection]:
    """The database as somebody with a SQL prompt has it: first he drops the triggers."""
    connection = sqlite3.connect(home / "node.db")
    connection.execute("PRAGMA synchronous=OFF")
    try:
        query = "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        for (name,) in connection.execute(query).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        connection.commit()
    finally:
        connection.close()


def flip(value: object, bit: int) -> object:
    """A value of a row with one bit changed."""
    if isinstance(value, int):
        return value ^ (1 << bit % 8)
    assert isinstance(value, bytes)
    at = bit // 8 % len(value)
    return value[:at] + bytes([value[at] ^ (1 << bit % 8)]) + value[at + 1 :]


def first_failure(home: Path) -> int | None:
    """The first leaf that the verifier names in a damaged log."""
    report = verify_path(home)
    assert report.outcome is Outcome.INVALID
    assert report.first_failure is not None
    return report.first_failure.seq
