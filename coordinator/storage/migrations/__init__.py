"""The coordinator's schema, step by step (Alembic), and the one function that brings it up."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import audit.configuration
import audit.incidents  # noqa: F401
from audit.database import Database
from audit.store import create_audit_schema
from audit.witness_tables import create_witness_schema
from protocols.errors import StateConflict


class CoordinatorSchemaTooNew(StateConflict):
    """The database was written by a newer release."""

    code = "coordinator_schema_too_new"
    next_step = "Run the release of credence that last opened this home."


def upgrade(database: Database) -> None:
    """Bring the schema to this release, the audit log's tables with it; a no-op when it is there.

    Runs in one write transaction: it is all there afterwards, or nothing is.

    Raises:
        CoordinatorSchemaTooNew: the schema is of a revision that this release does not know.
        DatabaseUnavailable: the database refuses to be opened or written.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    with database.read() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {one.revision for one in scripts.walk_revisions()}:
        raise CoordinatorSchemaTooNew(f"the database has schema {current}, unknown to this release")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        create_audit_schema(connection)
        create_witness_schema(connection)
