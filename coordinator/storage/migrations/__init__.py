"""The coordinator's schema, step by step (Alembic), and the one function that brings it up."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from audit.database import Database
from audit.store import create_audit_schema


def upgrade(database: Database) -> None:
    """Bring the schema to the newest revision, the audit log's tables with it.

    Runs in one write transaction: it is all there afterwards, or nothing is.

    Raises:
        DatabaseUnavailable: the database refuses to be written.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        create_audit_schema(connection)
