"""Published model bundles; which part each plays stands in `coordinator.storage.releases`."""

from dataclasses import dataclass

from sqlalchemy import insert, select

from audit.database import Connection
from coordinator.storage.tables import bundle


@dataclass(frozen=True)
class BundleRow:
    """A bundle: `manifest`, `signature` and `key_id` are its signed document.

    Attributes:
        tensors: safetensors bytes, named by hash in the manifest.
    """

    version: str
    campaign_id: str
    manifest: bytes
    signature: bytes
    key_id: str
    tensors: bytes
    created_at_ms: int


def add(connection: Connection, row: BundleRow) -> None:
    """Store a new bundle; a version that exists is a primary key violation, never replaced."""
    connection.execute(insert(bundle).values(**row.__dict__))


def find(connection: Connection, version: str) -> BundleRow | None:
    """The bundle of that version, or None."""
    rows = connection.execute(select(bundle).where(bundle.c.version == version))
    row = rows.mappings().one_or_none()
    return BundleRow(**row) if row is not None else None


def versions(connection: Connection) -> list[str]:
    """All versions, oldest first."""
    rows = connection.execute(
        select(bundle.c.version).order_by(bundle.c.created_at_ms, bundle.c.version)
    )
    return [str(row[0]) for row in rows]
