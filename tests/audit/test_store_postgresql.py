"""The log in PostgreSQL: parallel acts, one fenced sequencer, and what the database refuses."""

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy.exc
from sqlalchemy import text

from audit import staging
from audit.database import Connection, Database, DatabaseUnavailable
from audit.leaf import parse_leaf
from audit.sequencer import Fenced, NotNumbered, Sequencer, move, take_lead
from audit.shredding import PayloadErased
from audit.store import Appended, AuditLog, Submitted
from tests.audit.naive import mth
from tests.audit.world import INDEX_KEY, ORIGIN, ActFailed, World, entry, open_world
from tests.postgresql import Server

ANNA = b"a" * 32


@pytest.fixture
def world(server_world: World) -> World:
    return server_world


@pytest.fixture
def other(world: World) -> Iterator[World]:
    """The same log as another process has it open."""
    database = Database(world.url)
    log = AuditLog(ORIGIN, database, world.keys, INDEX_KEY)
    yield World(world.home, world.url, database, world.keys_database, world.keys, log)
    database.close()


def submit(world: World, *numbers: int, subject: bytes | None = None) -> list[Submitted]:
    with world.database.write(parallel=True) as connection:
        return world.log.submit(connection, [entry(number, subject=subject) for number in numbers])


def logged(world: World) -> list[str]:
    """Correlations in the log's order, once its tree was found to be that of its leaves."""
    with world.database.read() as connection:
        rows = list(world.log.leaves(connection, 0, 1 << 40))
        head = world.log.head(connection)
    assert [row.seq for row in rows] == list(range(len(rows)))
    assert (head.size, head.root) == (len(rows), mth([row.leaf for row in rows]))
    return [parse_leaf(row.leaf)["correlation"] for row in rows]


def staged(world: World) -> int:
    with world.database.read() as connection:
        found: int = connection.execute(text("SELECT count(*) FROM audit_staging")).scalar_one()
    return found


def test_parallel_acts_are_numbered_once_without_a_gap(world: World) -> None:
    world.log.sequencer.start()
    found: list[Appended] = []

    def client(number: int) -> None:
        for turn in range(20):
            submitted = submit(world, 100 * number + turn, subject=ANNA if turn % 3 else None)
            found.extend(world.log.wait(submitted))

    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    world.log.sequencer.stop()
    numbers = {100 * number + turn for number in range(8) for turn in range(20)}
    assert sorted(logged(world)) == sorted(f"req_{number}" for number in numbers)
    assert sorted(item.seq for item in found) == list(range(160))
    with world.database.read() as connection:
        hashes = {row.seq: row.leaf_hash for row in world.log.leaves(connection, 0, 160)}
    assert {item.seq: item.leaf_hash for item in found} == hashes
    assert len(world.log.about(ANNA)) == 8 * 13
    assert staged(world) == 0


def test_an_act_that_rolls_back_stages_nothing(world: World) -> None:
    with (  # noqa: PT012
        pytest.raises(ActFailed),
        world.database.write(parallel=True) as connection,
    ):
        world.log.submit(connection, [entry(0)])
        raise ActFailed
    assert staged(world) == 0


def test_whoever_waits_numbers_the_entries_while_nobody_leads(world: World) -> None:
    submitted = submit(world, 1, 2)
    assert [item.seq for item in submitted] == [None, None]
    assert [item.seq for item in world.log.wait(submitted)] == [0, 1]


def test_who_waits_for_an_act_that_did_not_commit_is_told_so(world: World) -> None:
    with pytest.raises(NotNumbered):
        world.log.wait([Submitted(bytes(32), None)], timeout_s=0)


def test_another_process_numbers_what_this_one_waits_for(world: World, other: World) -> None:
    other.log.sequencer.start()
    try:
        assert world.log.wait(submit(world, 7))[0].seq == 0
    finally:
        other.log.sequencer.stop()


def test_an_entry_with_a_lower_id_that_commits_later_is_still_logged(
    world: World, other: World
) -> None:
    with world.database.write(parallel=True) as slow:
        late = world.log.submit(slow, [entry(1)])
        early = submit(other, 2)
        assert other.log.wait(early)[0].seq == 0
        assert logged(other) == ["req_2"]
    assert world.log.wait(late)[0].seq == 1
    assert logged(world) == ["req_2", "req_1"]


def test_an_act_alone_stands_after_all_that_committed_before_it(world: World) -> None:
    submit(world, 1, 2)
    with world.database.write() as connection:
        assert world.log.append(connection, entry(3)).seq == 2
    assert logged(world) == ["req_1", "req_2", "req_3"]


def test_an_act_alone_waits_for_parallel_ones_and_they_for_it(world: World, other: World) -> None:
    impatient(other.database)
    with world.database.write(parallel=True) as connection:
        world.log.submit(connection, [entry(1)])
        assert [item.seq for item in submit(other, 2)] == [None]  # beside it
        with pytest.raises(DatabaseUnavailable), other.database.write():
            pass
    with world.database.write() as connection:
        world.log.append(connection, entry(3))
        for parallel in (True, False):
            with pytest.raises(DatabaseUnavailable), other.database.write(parallel=parallel):
                pass
    assert logged(world)[-1] == "req_3"


def impatient(database: Database) -> None:
    """Let new connections wait for a lock hardly at all."""

    def configure(connection: Connection, _: object) -> None:
        connection.execute("SET lock_timeout = 30")
        connection.commit()

    database.engine.dispose()
    sqlalchemy.event.listen(database.engine, "connect", configure)


def test_a_parallel_act_has_no_number_to_give(any_world: World) -> None:
    with (
        pytest.raises(RuntimeError, match="submit"),
        any_world.database.write(parallel=True) as connection,
    ):
        any_world.log.append(connection, entry(0))


def test_one_leads_and_another_follows_when_its_session_has_ended(world: World) -> None:
    with world.database.session() as first, world.database.session() as second:
        epoch = take_lead(first)
        assert epoch is not None
        assert take_lead(second) is None
        first.close()
        assert take_lead(second) == epoch + 1


def test_a_leader_that_was_paused_and_resumes_is_refused(world: World) -> None:
    submit(world, 1, 2, 3)
    with world.database.session() as paused:
        epoch = take_lead(paused)
        assert epoch is not None
        assert len(move(paused, epoch, most=1)) == 1
    with world.database.session() as successor, world.database.session() as resumed:
        after = take_lead(successor)
        assert after == epoch + 1
        with pytest.raises(Fenced):
            move(resumed, epoch)
        assert len(move(successor, after)) == 2
    assert logged(world) == ["req_1", "req_2", "req_3"]
    assert staged(world) == 0


def test_a_leader_killed_in_the_middle_of_a_batch_leaves_it_staged(
    world: World, other: World
) -> None:
    submit(world, *range(300))
    with (  # noqa: PT012
        pytest.raises(DatabaseUnavailable),
        world.database.session() as leader,
    ):
        assert take_lead(leader) is not None
        leader.begin()
        assert len(staging.integrate(leader)) == 300
        pid = leader.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with other.database.write() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        leader.exec_driver_sql("SELECT 1")
    assert (world.log.head().size, staged(other)) == (0, 300)
    assert Sequencer(other.database).step()
    assert logged(other) == [f"req_{number}" for number in range(300)]


def test_two_sequencers_at_once_make_no_gap_and_nothing_twice(world: World, other: World) -> None:
    for one in (world, other):
        one.log.sequencer.start()
    waiting = [submit(one, number) for number in range(40) for one in (world, other)]
    numbers = [world.log.wait(one)[0].seq for one in waiting]
    for one in (world, other):
        one.log.sequencer.stop()
    assert sorted(numbers) == list(range(80))
    assert len(logged(world)) == 80


def test_an_erasure_reaches_what_was_only_staged(world: World) -> None:
    submit(world, 1, subject=ANNA)
    with world.database.write() as connection:
        world.log.erase(connection, ANNA, actor="operator", at_ms=1)
    assert world.log.about(ANNA) == []
    with pytest.raises(PayloadErased):
        world.log.payload(0)
    assert len(logged(world)) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_leaf SET leaf = '' WHERE seq = 1",
        "DELETE FROM audit_leaf WHERE seq = 2",
        "INSERT INTO audit_leaf VALUES (5, '', '')",
        "INSERT INTO audit_payload VALUES (1, '')",
        "DELETE FROM audit_payload",
        "INSERT INTO audit_tile VALUES (0, 1, '', '')",
        "UPDATE audit_head SET size = 2",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head VALUES (1, 0, '', '')",
        "UPDATE audit_subject_index SET seq = 1",
        "UPDATE audit_staging SET tag = ''",
        "UPDATE audit_sequencer SET epoch = 0",
        "DELETE FROM audit_sequencer",
        *(
            f"TRUNCATE {table}"
            for table in (
                "audit_leaf",
                "audit_payload",
                "audit_tile",
                "audit_head",
                "audit_subject_index",
                "audit_staging",
                "audit_sequencer",
            )
        ),
    ],
)
def test_the_database_refuses_to_change_what_is_logged(used: World, statement: str) -> None:
    with (
        pytest.raises(sqlalchemy.exc.IntegrityError, match="append-only"),
        used.database.write() as connection,
    ):
        connection.execute(text(statement))


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, postgresql: Server) -> Iterator[World]:
    """A log with something in each table."""
    opened = open_world(tmp_path_factory.mktemp("used") / "home", postgresql.url())
    opened.fill(3)
    opened.append(entry(3, subject=ANNA))
    submit(opened, 4)
    yield opened
    opened.close()


def test_no_leaf_is_in_the_log_twice(world: World) -> None:
    world.fill(1)
    with (
        pytest.raises(sqlalchemy.exc.IntegrityError, match="ix_audit_leaf_hash"),
        world.database.write() as connection,
    ):
        connection.execute(text("INSERT INTO audit_leaf SELECT 1, leaf, leaf_hash FROM audit_leaf"))
