"""Full disks, write errors, edits by hand, erasures meeting reads and backups."""

import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event, select, text

from audit.database import Database, DatabaseUnavailable
from audit.merkle import leaf_hash
from audit.shredding import PayloadErased, data_key
from audit.snapshot import FileExists, copy_log
from audit.verifier import Outcome, Report, verify_path
from tests.audit.world import World, entry
from tests.postgresql import Server

ANNA, BAO = b"a" * 32, b"b" * 32
RENAME = (
    "UPDATE audit_leaf SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'),"
    " 'bank-a', 'bank-z'), 'UTF8') WHERE seq = 5"
)
LARGE = 2_000  # leaves that need new pages in any database


def healthy(world: World, size: int) -> None:
    """The log has `size` leaves, goes on, and is sound."""
    assert world.log.head().size == size
    world.append(entry(size, subject=b"new" + bytes(29)))
    assert verified(world).outcome is Outcome.VALID
    assert world.log.payload(size) == {"number": size}


def verified(world: World) -> Report:
    file = world.home / "copy.db"
    file.unlink(missing_ok=True)
    assert copy_log(world.database, file) == world.log.head().size
    return verify_path(file)


@contextmanager
def no_more_pages(database: Database) -> Iterator[None]:
    """The disk is full: the file may not grow (SQLITE_FULL)."""

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count=1")  # that is, no more than there are

    database.engine.dispose()
    event.listen(database.engine, "connect", limit)
    yield
    event.remove(database.engine, "connect", limit)
    database.engine.dispose()


@contextmanager
def no_more_bytes(database: Database) -> Iterator[None]:
    """Writing fails in the operating system (SQLITE_IOERR), in whatever file of the database."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = Path(str(database.engine.url.database))
    largest = max(one.stat().st_size for one in file.parent.glob(file.name + "*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 8_192, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("fault", [no_more_pages, no_more_bytes])
@pytest.mark.parametrize("where", ["log", "keys"])
def test_a_disk_that_takes_no_more_writes_nothing_and_the_log_goes_on_after(
    world: World, fault: type, where: str
) -> None:
    world.fill(1)
    database = world.database if where == "log" else world.keys_database
    many = [entry(number, subject=number.to_bytes(32, "big")) for number in range(1, LARGE)]
    with fault(database), pytest.raises(DatabaseUnavailable):
        world.append(*many)
    healthy(world, 1)


def test_every_commit_is_on_disk_before_it_is_answered_for(world: World) -> None:
    """Catalogue item 2: else a power cut takes a leaf back whose head was signed already."""
    for database in (world.database, world.keys_database):
        for way in (database.write, database.read):
            with way() as connection:
                said = [
                    connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                    for name in ("synchronous", "journal_mode")
                ]
            assert said == [2, "wal"]  # FULL


def test_a_servers_default_of_not_waiting_for_the_disk_is_overruled(postgresql: Server) -> None:
    """Catalogue item 2, on PostgreSQL; who asks for more than `on` keeps it."""
    for default, in_force in (("off", "on"), ("remote_apply", "remote_apply")):
        database = Database(f"{postgresql.url()}%20-csynchronous_commit%3D{default}")
        for parallel in (False, True):
            with database.write(parallel=parallel) as connection:
                said = connection.exec_driver_sql("SHOW synchronous_commit").scalar_one()
            assert said == in_force
        database.close()


@pytest.mark.parametrize("code", ["53100", "58030"])  # disk_full, io_error
def test_a_server_that_takes_no_more_is_unavailable_and_the_act_undone(
    server_world: World, code: str
) -> None:
    world = server_world
    refuse = (
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = 'no room'; END $$"
    )
    with world.database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE business (number BIGINT)")
        connection.exec_driver_sql(refuse)
        for table in ("audit_staging", "audit_payload"):
            when = f"BEFORE INSERT ON {table} EXECUTE FUNCTION no_room()"
            connection.exec_driver_sql(f"CREATE TRIGGER no_room {when}")
    for parallel in (True, False):
        with (  # noqa: PT012
            pytest.raises(DatabaseUnavailable),
            world.database.write(parallel=parallel) as connection,
        ):
            connection.execute(text("INSERT INTO business VALUES (1)"))
            (world.log.submit if parallel else world.log.append_many)(connection, [entry(0)])
    with world.database.write() as connection:
        assert connection.execute(text("SELECT count(*) FROM business")).scalar() == 0
        for table in ("audit_staging", "audit_payload"):
            connection.exec_driver_sql(f"DROP TRIGGER no_room ON {table}")
    healthy(world, 0)


def test_more_callers_than_sessions_are_told_to_come_again(server_world: World) -> None:
    pool = server_world.database.engine.pool
    held = [pool.connect() for _ in range(server_world.database.engine.pool.size() + 10)]
    pool._timeout = 0.01
    with pytest.raises(DatabaseUnavailable), server_world.database.read():
        pass
    for connection in held:
        connection.close()
    assert server_world.log.head().size == 0


@pytest.mark.parametrize(
    ("edit", "seq"),
    [
        ("UPDATE audit_leaf SET leaf = set_byte(leaf, 20, 88) WHERE seq = 7", 7),
        ("UPDATE audit_leaf SET leaf_hash = set_byte(leaf_hash, 3, 1) WHERE seq = 290", 290),
        ("UPDATE audit_payload SET ciphertext = set_byte(ciphertext, 40, 1) WHERE seq = 9", 9),
        ("UPDATE audit_tile SET hashes = set_byte(hashes, 3200, 1)", 100),
        ("UPDATE audit_subject_index SET guard = set_byte(guard, 0, 1) WHERE seq = 299", 299),
        ("UPDATE audit_head SET root = sha256('')", 299),
        (f"{RENAME}; UPDATE audit_leaf SET leaf_hash = sha256('\\x00'::bytea || leaf)", 5),
    ],
)
def test_who_rewrites_a_server_database_by_hand_is_found_and_the_leaf_named(
    server_world: World, edit: str, seq: int
) -> None:
    server_world.fill(299)
    server_world.append(entry(299, subject=ANNA))
    by_hand = "SET session_replication_role = replica"  # no trigger fires
    with server_world.database.session() as connection, connection.begin():
        connection.exec_driver_sql(by_hand)
        for statement in edit.split(";"):
            connection.exec_driver_sql(statement.replace("%", "%%"))
    report = verified(server_world)
    assert report.outcome is Outcome.INVALID
    assert report.first_failure is not None
    assert report.first_failure.seq == seq


def test_a_row_deleted_from_a_server_database_is_missed(server_world: World) -> None:
    server_world.fill(20)
    with server_world.database.session() as connection, connection.begin():
        connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql("DELETE FROM audit_payload WHERE seq = 19")
    report = verified(server_world)
    assert report.first_failure is not None
    assert report.first_failure.seq == 19


def test_a_copy_is_the_log_without_a_key_or_a_business_row(any_world: World) -> None:
    any_world.append(*(entry(number, subject=ANNA) for number in range(300)))
    with any_world.database.write() as connection:
        connection.execute(text("CREATE TABLE business (number INTEGER)"))
    file = any_world.home / "backup.db"
    assert copy_log(any_world.database, file) == 300
    assert verify_path(file).root == any_world.log.head().root
    copied = sqlite3.connect(file)
    names = {
        name for (name,) in copied.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    }
    copied.close()
    assert {"audit_leaf", "audit_payload", "audit_subject_index"} <= names
    assert not names & {"business", "data_key"}
    assert [one.name for one in any_world.home.glob("*backup*")] == ["backup.db"]
    with any_world.keys_database.read() as connection:
        (sealed,) = connection.execute(select(data_key.c.sealed)).scalars()
    assert sealed not in file.read_bytes()


def test_a_copy_replaces_nothing(world: World) -> None:
    file = world.home / "backup.db"
    file.write_text("kept")
    with pytest.raises(FileExists):
        copy_log(world.database, file)
    assert file.read_text() == "kept"


def test_no_read_after_an_erasure_shows_what_was_erased(any_world: World) -> None:
    any_world.append(entry(0, subject=ANNA), entry(1, subject=BAO))
    erased = threading.Event()
    shown_after: list[object] = []

    def read() -> None:
        while True:
            after = erased.is_set()
            try:
                found = any_world.log.payload(0)
            except PayloadErased:
                if after:
                    return
                continue
            if after:
                shown_after.append(found)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    with any_world.database.write() as connection:
        any_world.log.erase(connection, ANNA, actor="operator", at_ms=1)
    erased.set()
    for reader in readers:
        reader.join()
    assert shown_after == []
    assert any_world.log.payload(1) == {"number": 1}


def test_a_backup_of_the_keys_under_way_takes_no_erased_key_with_it(world: World) -> None:
    world.append(*(entry(number, subject=number.to_bytes(32, "big")) for number in range(400)))
    erased = [number.to_bytes(32, "big") for number in range(0, 400, 80)]
    ids = {key.key_id for key in world.keys.keys_for((one, "score") for one in erased).values()}
    with world.keys_database.read() as connection:
        gone = select(data_key.c.sealed).where(data_key.c.key_id.in_(ids))
        sealed = connection.execute(gone).scalars().all()
    source = sqlite3.connect(world.home / "datakeys.db")
    target = sqlite3.connect(world.home / "kept.db")
    steps = 0

    def erase_some(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            for subject in erased:
                world.keys.erase(subject)

    source.backup(target, pages=8, progress=erase_some, sleep=0)
    source.close()
    target.close()
    assert steps > 2
    kept = (world.home / "kept.db").read_bytes()
    assert len(sealed) == 5
    assert not any(one in kept for one in sealed)


def test_proofs_made_before_an_erasure_hold_after_it(any_world: World) -> None:
    any_world.append(*(entry(number, subject=ANNA) for number in range(300)))
    before = any_world.log.head()
    proof = any_world.log.inclusion_proof(17, 300)
    with any_world.database.write() as connection:
        any_world.log.erase(connection, ANNA, actor="operator", at_ms=1)
    with any_world.database.read() as connection:
        (row,) = any_world.log.leaves(connection, 17, 18)
    assert leaf_hash(row.leaf) == row.leaf_hash
    assert any_world.log.inclusion_proof(17, 300) == proof
    assert verified(any_world).outcome is Outcome.VALID
    assert any_world.log.consistency_proof(300, 301)
    assert before.size == 300
