"""Alembic's entry: migrations run on the connection that `upgrade` gives, never on a URL."""

from alembic import context

# Their tables stand on the metadata.
from coordinator.storage import console_tables, oversight_tables, release_tables, watch_tables  # noqa: F401
from coordinator.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
