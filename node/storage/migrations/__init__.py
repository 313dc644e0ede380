"""The database schema of a node, version by version (Alembic, run from the program)."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from audit.database import Database
from protocols.errors import StateConflict


class SchemaTooNew(StateConflict):
    """The database was written by a newer version of the program."""

    code = "schema_too_new"
    next_step = "Run the newer version of credence that last opened this home."


def upgrade(database: Database) -> None:
    """Bring the schema to this program's version, in one transaction; a no-op when it is there.

    Raises:
        SchemaTooNew: the schema is of a version that this program does not know.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with database.read() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(config)
    if current == scripts.get_current_head():
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise SchemaTooNew(f"the database has schema {current}, which this version does not know")
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
