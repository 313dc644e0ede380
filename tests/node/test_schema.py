"""The migrated schema is the tables' metadata, and what may only grow does."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, delete, insert, text, update
from sqlalchemy.exc import IntegrityError

from audit.database import Database, DatabaseUnavailable
from audit.store import metadata as audit_metadata
from audit.witness_tables import metadata as witness_metadata
from node.storage import migrations, tables
from node.storage.exchange import Release, record
from node.storage.migrations import SchemaTooNew
from node.storage.schema import SCHEMA_VERSION, ensure_schema


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path}/node.db")
    ensure_schema(opened)
    yield opened
    opened.close()


def all_tables():
    joined = MetaData()
    for metadata in (tables.metadata, audit_metadata, witness_metadata):
        for table in metadata.tables.values():
            table.to_metadata(joined)
    return joined


def test_the_migrated_schema_is_the_metadata(database):
    def here(_item: object, name: str | None, *_: object) -> bool:
        return name != "ix_audit_leaf_hash"  # on a server only

    with database.read() as connection:
        opts = {"compare_type": True, "include_object": here}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, all_tables()) == []


def test_the_newest_migration_is_the_version_that_is_looked_for():
    scripts = ScriptDirectory(str(migrations.__path__[0]))
    assert scripts.get_current_head() == SCHEMA_VERSION


def test_a_second_upgrade_changes_nothing(database):
    migrations.upgrade(database)
    ensure_schema(database)
    with database.read() as connection:
        versions = connection.execute(text("SELECT version_num FROM alembic_version")).all()
    assert [row[0] for row in versions] == [SCHEMA_VERSION]


def test_a_schema_of_a_newer_program_is_left_alone(database):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew):
        ensure_schema(database)


def test_an_upgrade_that_fails_changes_nothing(tmp_path):
    odd = Database(f"sqlite:///{tmp_path}/odd.db")
    with odd.write() as connection:
        connection.execute(text("CREATE VIEW release AS SELECT 1"))  # takes no such trigger
    with pytest.raises(DatabaseUnavailable):
        ensure_schema(odd)
    with odd.read() as connection:
        found = connection.execute(text("SELECT name FROM sqlite_master")).scalars().all()
    odd.close()
    assert found == ["release"]


RELEASE = Release("out", "req_1", "con_1", "bank-a", "score", "", 3, 1, 0)


@pytest.mark.parametrize(
    "change",
    [
        update(tables.release).values(refusal="consent_withdrawn"),
        delete(tables.release),
        text("INSERT OR REPLACE INTO release SELECT * FROM release"),
    ],
)
def test_a_release_record_is_never_changed(database, change):
    with database.write() as connection:
        record(connection, [RELEASE, RELEASE])
    with pytest.raises(IntegrityError, match="append-only"), database.write() as connection:
        connection.execute(change)


@pytest.mark.parametrize("table", ["consent_event", "release", "privacy_charge"])
def test_append_only_tables_have_their_triggers(database, table):
    with database.read() as connection:
        triggers = connection.execute(
            text("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :t"),
            {"t": table},
        ).scalar()
    assert triggers == 3


def test_appending_goes_on(database):
    with database.write() as connection:
        connection.execute(insert(tables.release), [RELEASE._asdict(), RELEASE._asdict()])
