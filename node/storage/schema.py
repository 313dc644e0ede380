"""Keeps the schema of a node's database at this program's version.

Alembic takes a moment to load; a command that finds the schema current never loads it.
"""

from sqlalchemy import inspect, text

from audit.database import Database

SCHEMA_VERSION = "0001"  # the newest revision in migrations/versions


def ensure_schema(database: Database) -> None:
    """Create or upgrade the schema, in one transaction; nothing when it is current.

    Raises:
        SchemaTooNew: a newer program has written this database.
        DatabaseUnavailable: it cannot be read or written.
    """
    with database.read() as connection:
        if inspect(connection).has_table("alembic_version"):
            statement = text("SELECT version_num FROM alembic_version")
            if connection.execute(statement).scalar() == SCHEMA_VERSION:
                return
    from node.storage.migrations import upgrade

    upgrade(database)
