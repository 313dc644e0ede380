"""The log in SQLite's file: what the database refuses, and what a damaged or locked file does."""

import sqlite3

import pytest
import sqlalchemy.exc
from sqlalchemy import text

from audit.database import Connection, Database, DatabaseDamaged, DatabaseUnavailable
from protocols.errors import SignatureInvalid
from tests.audit.world import World, by_hand, entry


def stored(world: World) -> list[bytes]:
    with world.database.read() as connection:
        return [row.leaf for row in world.log.leaves(connection, 0, 1 << 40)]


def test_a_changed_ciphertext_does_not_open(world: World) -> None:
    world.append(entry(0))
    with by_hand(world.home) as connection:
        (blob,) = connection.execute("SELECT ciphertext FROM audit_payload").fetchone()
        changed = blob[:-1] + bytes([blob[-1] ^ 1])
        connection.execute("UPDATE audit_payload SET ciphertext = ?", (changed,))
    with pytest.raises(SignatureInvalid):
        world.log.payload(0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_leaf SET leaf = x'00' WHERE seq = 1",
        "DELETE FROM audit_leaf WHERE seq = 299",
        "INSERT OR REPLACE INTO audit_leaf VALUES (1, x'00', x'00')",
        "INSERT INTO audit_leaf VALUES (301, x'00', x'00')",
        "UPDATE audit_payload SET ciphertext = x'00'",
        "DELETE FROM audit_payload",
        "INSERT OR REPLACE INTO audit_payload VALUES (1, x'00')",
        "UPDATE audit_tile SET root = x'00'",
        "DELETE FROM audit_tile",
        "INSERT OR REPLACE INTO audit_tile VALUES (0, 0, x'00', x'00')",
        "UPDATE audit_head SET size = 299",
        "UPDATE audit_head SET root = x'00'",
        "DELETE FROM audit_head",
        "INSERT OR REPLACE INTO audit_head VALUES (1, 0, x'00', x'')",
        "UPDATE audit_subject_index SET seq = 1",
    ],
)
def test_the_database_refuses_to_change_what_is_logged(world: World, statement: str) -> None:
    world.fill(299)
    world.append(entry(299, subject=b"s" * 32))
    head, leaves = world.log.head(), stored(world)
    with (
        pytest.raises(sqlalchemy.exc.IntegrityError, match="append-only"),
        world.database.write() as connection,
    ):
        connection.execute(text(statement))
    assert world.log.head() == head
    assert stored(world) == leaves


def test_a_locked_database_is_unavailable_and_nothing_is_written(world: World) -> None:
    blocker = sqlite3.connect(world.home / "node.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    impatient = Database(world.database.url)

    def write() -> Connection:
        with impatient.engine.connect() as connection:
            connection.connection.execute("PRAGMA busy_timeout=10")
        with impatient.write() as connection:
            return connection

    with pytest.raises(DatabaseUnavailable):
        write()
    blocker.close()
    impatient.close()
    assert world.log.head().size == 0


def test_a_file_that_is_no_database_is_said_to_be_damaged(world: World) -> None:
    file = world.home / "other.db"
    file.write_bytes(b"this is not a database at all" * 100)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseDamaged), database.read() as connection:
        connection.execute(text("SELECT 1 FROM sqlite_schema"))
    database.close()
