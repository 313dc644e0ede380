"""A glance at an SQLite file: the newest that was committed, by connections that are kept."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, select

from audit.bulk import BulkInsert, Prepared
from audit.database import GLANCES, Database, DatabaseDamaged

metadata = MetaData()
number = Table("number", metadata, Column("value", Integer, primary_key=True))
_ALL = Prepared(select(number.c.value).order_by(number.c.value))
_INSERT = BulkInsert(number)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'numbers.db'}")
    with made.write() as connection:
        metadata.create_all(connection)
    yield made
    made.close()


def add(database: Database, value: int) -> None:
    with database.write() as connection:
        _INSERT(connection, [(value,)])


def look(database: Database) -> list[int]:
    with database.glance() as connection:
        return [value for (value,) in _ALL.rows(connection)]


def idle(database: Database) -> int:
    assert database._glances is not None
    return len(database._glances._idle)


def test_a_kept_connection_sees_what_was_committed_since(database: Database) -> None:
    for value in range(3):
        assert look(database) == list(range(value))
        add(database, value)
    with database.glance() as connection:
        assert len(_ALL.rows(connection)) == 3
        add(database, 3)  # while it is held: no snapshot is either
        assert len(_ALL.rows(connection)) == 4
    assert idle(database) == 1


def test_it_sees_nothing_that_is_not_committed(database: Database) -> None:
    look(database)
    with database.write() as connection:
        _INSERT(connection, [(1,)])
        assert look(database) == []
    assert look(database) == [1]


def test_it_leaves_nothing_that_keeps_the_files_from_being_scrubbed(database: Database) -> None:
    add(database, 1)
    assert look(database) == [1]
    assert database.scrub()


def test_many_at_once_have_one_each_and_a_few_are_kept(database: Database) -> None:
    together = threading.Barrier(GLANCES + 8)
    found = []

    def one() -> None:
        with database.glance() as connection:
            together.wait(10)
            found.append((id(connection.connection), len(_ALL.rows(connection))))
            together.wait(10)

    threads = [threading.Thread(target=one) for _ in range(GLANCES + 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({which for which, _ in found}) == GLANCES + 8
    assert idle(database) == GLANCES
    add(database, 1)  # the pool's places were not taken


def test_one_through_which_a_look_failed_is_not_kept(database: Database, tmp_path: Path) -> None:
    look(database)
    with pytest.raises(ZeroDivisionError), database.glance():
        raise ZeroDivisionError
    assert idle(database) == 0
    broken = Database(f"sqlite:///{tmp_path / 'broken.db'}")
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseDamaged):
        look(broken)
    broken.close()


def test_closing_closes_those_that_are_kept(database: Database) -> None:
    look(database)
    assert database._glances is not None
    (kept,) = database._glances._idle
    database.close()
    assert kept.closed
    assert idle(database) == 0
