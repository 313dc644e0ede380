"""A node whose database is PostgreSQL: by one setting, and nothing else is different."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from audit.database import Database
from node.bootstrap import init_node, open_node
from node.storage import tables
from node.storage.exchange import record
from node.storage.pseudonyms import count_evaluations
from node.storage.schema import ensure_schema
from tests.node.test_schema import RELEASE, all_tables


@pytest.fixture
def database(postgresql):
    opened = Database(postgresql.url())
    ensure_schema(opened)
    yield opened
    opened.close()


def test_the_migrated_schema_is_the_metadata(database):
    ensure_schema(database)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        found = compare_metadata(context, all_tables())
    assert [one for one in found if one[0] != "remove_table"] == []
    assert {one[1].name for one in found} <= {"audit_staging", "audit_sequencer"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE release SET refusal = 'consent_withdrawn'",
        "DELETE FROM release",
        "TRUNCATE release",
    ],
)
def test_a_release_record_is_never_changed(database, change):
    with database.write() as connection:
        record(connection, [RELEASE, RELEASE])
    with pytest.raises(IntegrityError, match="append-only"), database.write() as connection:
        connection.execute(text(change))


def test_appending_goes_on(database):
    with database.write() as connection:
        connection.execute(insert(tables.release), [RELEASE._asdict(), RELEASE._asdict()])


def test_a_node_is_made_and_opened_on_it(tmp_path, postgresql):
    url = postgresql.url()
    settings = init_node(
        tmp_path / "bank", member_id="bank-a", name="Bank A", role="bank", database_url=url
    )
    assert settings.database_url == url
    node = open_node(tmp_path / "bank")
    assert not (tmp_path / "bank" / "node.db").exists()
    assert node.audit.head().size >= 0
    node.close()


def test_evaluations_of_one_member_are_counted_whoever_counts_beside(database):
    def count(_):
        with database.write(parallel=True) as connection:
            return count_evaluations(connection, "bank-b", 7, 10)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(count, range(40)))
    assert sorted(found) == [10 * number for number in range(1, 41)]
