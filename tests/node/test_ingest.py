"""What an ingest leaves behind, and that it is all or nothing."""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from audit.database import DatabaseUnavailable
from models.catalogue import SignalStatus, load_default
from node.ingest import STAGES
from node.records.cleaning import Records, clean
from node.records.connectors import CsvDirectory
from node.records.errors import RecordsMissing, RecordsUnwritable
from node.records.store import LEFTOVER_AGE_S, RecordStore
from node.storage import outcomes, signals, subjects
from tests.node.ingest_world import (
    MEMBER,
    NOW_MS,
    World,
    bank_tables,
    identifier,
    write_tables,
)

PRESENT, NONE, NOT_HELD = (
    int(SignalStatus.PRESENT),
    int(SignalStatus.NONE_ON_RECORD),
    int(SignalStatus.NOT_HELD),
)
JULY_2025 = int(datetime(2025, 7, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def inbox(tmp_path):
    return write_tables(tmp_path / "inbox", **bank_tables())


def ingest(world, directory, **arguments):
    return world.service.ingest_directory(directory, now_ms=NOW_MS, **arguments)


def test_an_ingest_leaves_subjects_signals_outcomes_files_and_one_leaf(world, inbox):
    report = ingest(world, inbox)
    with world.database.read() as connection:
        known = subjects.all_subjects(connection)
        own = signals.of_source(connection, MEMBER, signals.OWN, NOW_MS)
        labels = outcomes.labels(connection)
    assert [one.customer_id for one in known] == ["c1", "c2", "c3"]
    assert known[0].pseudonym == world.pseudonyms.pseudonym(identifier(1))
    assert known[0].subject_ref == world.pseudonyms.subject_ref(known[0].pseudonym)
    late = own[known[1].pseudonym]
    assert (late.as_of_ms, late.catalogue_version) == (JULY_2025, load_default().version)
    assert late.signals["current_status"] == (PRESENT, 2.0)
    assert own[known[0].pseudonym].signals["months_since_late"] == (NONE, 0.0)
    assert labels == {known[0].pseudonym: 0, known[1].pseudonym: 1}
    assert world.store.load().counts() == report.rows
    assert world.audit.head().size == 1
    assert report.signals["credit_limit"] == {"present": 3, "none_on_record": 0}
    assert "statement_balance" not in report.signals


def test_the_audit_leaf_holds_counts_and_file_hashes_and_nobody(world, inbox):
    report = ingest(world, inbox)
    payload = world.audit.payload(report.audit_seq)
    assert payload["rows"] == {"customers": 3, "accounts": 3, "statements": 9, "outcomes": 2}
    assert set(payload["sha256"]) == set(payload["rows"])
    with world.database.read() as connection:
        (leaf,) = world.audit.leaves(connection, 0, 1)
    told = (leaf.leaf.decode() + json.dumps(payload)).lower()
    for personal in (identifier(1), "c1", world.pseudonyms.pseudonym(identifier(1)).hex()):
        assert f'"{personal}"' not in told


def test_progress_names_every_stage_in_order(world, inbox):
    stages = []
    ingest(world, inbox, progress=stages.append)
    assert tuple(stages) == STAGES


def test_the_same_directory_twice_changes_nothing_but_the_log(world, inbox):
    ingest(world, inbox)
    before = world.fingerprint()
    world.service.ingest_directory(inbox, now_ms=NOW_MS + 1000)
    after = world.fingerprint()
    assert after.pop("head").size == before.pop("head").size + 1
    assert after == before


def test_who_is_no_longer_in_the_records_is_no_longer_known(world, inbox):
    ingest(world, inbox)
    tables = {name: [r for r in rows if r[0] != "c2"] for name, rows in bank_tables().items()}
    ingest(world, write_tables(inbox, **tables))
    with world.database.read() as connection:
        assert [one.customer_id for one in subjects.all_subjects(connection)] == ["c1", "c3"]
        assert signals.count(connection, MEMBER, signals.OWN) == 2
        assert outcomes.count(connection) == 1


def test_two_people_may_swap_their_customer_ids(world, inbox):
    ingest(world, inbox)
    tables = bank_tables()
    tables["customers"] = [["c2", identifier(1)], ["c1", identifier(2)], ["c3", identifier(3)]]
    ingest(world, write_tables(inbox, **tables))
    with world.database.read() as connection:
        found = subjects.by_customer(connection, "c2")
    assert found.pseudonym == world.pseudonyms.pseudonym(identifier(1))


def test_signals_fetched_from_others_survive_an_ingest(world, inbox):
    name = world.pseudonyms.pseudonym(identifier(1))
    fetched = signals.SignalVector(
        name, "payments", "score", 1, 1, {"paid_amount_1m": (PRESENT, 5.0)}, "con_1", NOW_MS + 9
    )
    with world.database.write() as connection:
        signals.put_many(connection, [fetched])
    ingest(world, inbox)
    with world.database.read() as connection:
        assert signals.find(connection, name, "payments", "score", NOW_MS) == fetched


def test_an_explicit_as_of_closes_the_windows_earlier(world, inbox):
    june = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp() * 1000)
    ingest(world, inbox, as_of_ms=june)
    with world.database.read() as connection:
        own = signals.of_source(connection, MEMBER, signals.OWN, NOW_MS)
    second = world.pseudonyms.pseudonym(identifier(2))
    assert own[second].signals["current_status"] == (PRESENT, 1.0)


def test_a_publisher_without_statements_is_as_of_now(world, tmp_path):
    tables = {"customers": bank_tables()["customers"], "public_records": []}
    report = ingest(world, write_tables(tmp_path / "public", **tables))
    assert report.as_of_ms == NOW_MS
    assert report.signals["tax_arrears"] == {"present": 0, "none_on_record": 3}


def test_a_failing_log_takes_rows_and_files_back(world, inbox):
    ingest(world, inbox)
    before = world.fingerprint()
    with world.database.write() as connection:
        connection.execute(text("DROP TABLE audit_payload"))
    tables = bank_tables() | {"customers": [["c1", identifier(9)]]}
    only_one = {name: [r for r in rows if r[0] == "c1"] for name, rows in tables.items()}
    with pytest.raises(DatabaseUnavailable):
        ingest(world, write_tables(inbox, **only_one))
    assert world.fingerprint() == before


def test_a_failing_commit_takes_the_published_files_back(world, inbox):
    ingest(world, inbox)
    before = world.fingerprint()
    with world.database.write() as connection:  # a deferred constraint fails at COMMIT only
        connection.execute(text("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
        connection.execute(
            text(
                "CREATE TABLE child (id INTEGER REFERENCES parent (id) "
                "DEFERRABLE INITIALLY DEFERRED)"
            )
        )
        connection.execute(
            text(
                "CREATE TRIGGER orphan AFTER INSERT ON outcome "
                "BEGIN INSERT INTO child VALUES (1); END"
            )
        )
    tables = bank_tables() | {"accounts": []}
    tables["statements"] = []
    with pytest.raises(Exception, match="FOREIGN KEY"):
        ingest(world, write_tables(inbox, **tables))
    assert world.fingerprint() == before


def test_a_locked_database_leaves_nothing(world, inbox, monkeypatch):
    monkeypatch.setattr("audit.database.BUSY_TIMEOUT_MS", 50)
    hasty = World(world.home)
    before = world.fingerprint()
    with world.database.write(), pytest.raises(DatabaseUnavailable):
        ingest(hasty, inbox)
    hasty.close()
    assert world.fingerprint() == before


def test_a_file_in_the_way_of_the_records_is_one_clear_error(world, inbox):
    (world.home / "records").write_text("not a directory")
    before = world.fingerprint()
    with pytest.raises(RecordsUnwritable, match="a file is in the way") as raised:
        ingest(world, inbox)
    assert raised.value.category == "invalid"
    assert world.fingerprint() == before


def test_a_read_only_directory_is_one_clear_error(inbox):
    # As nobody, in a process of its own: permissions do not bind a superuser.
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o555)
        script = (
            "import os, sys, pyarrow\n"
            "from pathlib import Path\n"
            "from node.records.cleaning import Records\n"
            "from node.records.errors import RecordsUnwritable\n"
            "from node.records.store import RecordStore\n"
            "if os.geteuid() == 0: os.setuid(65534)\n"
            "table = pyarrow.table({'customer_id': ['c1']})\n"
            "store = RecordStore(Path(sys.argv[1]) / 'records')\n"
            "try:\n"
            "    with store.staged(Records({'customers': table})): sys.exit(3)\n"
            "except RecordsUnwritable as error:\n"
            "    print(error.message)\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", script, home],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=Path(__file__).parents[2],
        )
        assert run.returncode == 0, run.stderr
        assert "records cannot be written: Permission denied" in run.stdout
        assert list(Path(home).iterdir()) == []


def test_records_of_a_crash_between_two_renames_come_back(tmp_path, inbox):
    store = RecordStore(tmp_path / "home" / "records")
    records = clean(CsvDirectory(inbox).read())
    with store.staged(records) as staged:
        staged.publish()
    left = tmp_path / "home" / ".records-crash"
    left.mkdir()
    (tmp_path / "home" / "records").rename(left / "previous")
    assert store.load().counts() == records.counts()


def test_what_a_crash_left_an_hour_ago_is_cleared_away(tmp_path, inbox):
    store = RecordStore(tmp_path / "home" / "records")
    left = tmp_path / "home" / ".records-old"
    left.mkdir(parents=True)
    then = time.time() - LEFTOVER_AGE_S - 60
    os.utime(left, (then, then))
    with store.staged(clean(CsvDirectory(inbox).read())):
        assert not left.exists()


def test_records_are_private_to_the_owner_of_the_process(world, inbox):
    ingest(world, inbox)
    assert (world.home / "records").stat().st_mode & 0o077 == 0


def test_a_node_without_records_says_so(tmp_path):
    with pytest.raises(RecordsMissing, match="no records"):
        RecordStore(tmp_path / "records").load()


def test_records_come_back_from_the_store_as_they_went_in(tmp_path, inbox):
    store = RecordStore(tmp_path / "records")
    records = clean(CsvDirectory(inbox).read())
    with store.staged(records) as staged:
        staged.publish()
    loaded: Records = store.load()
    assert {n: t.to_pydict() for n, t in loaded.tables.items()} == {
        n: t.to_pydict() for n, t in records.tables.items()
    }
