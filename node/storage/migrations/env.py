"""Alembic's entry: runs on the connection that `upgrade` gives, inside its transaction."""

from alembic import context

from node.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction is the only one
)
context.run_migrations()
