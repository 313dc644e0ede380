"""Model bundles this node verified; at most one is active."""

from dataclasses import dataclass

from sqlalchemy import insert, select, update

from audit.database import Connection
from node.storage.tables import bundle


@dataclass(frozen=True, slots=True)
class BundleRow:
    """A bundle: `manifest`, `signature` and `key_id` are its signed document.

    Attributes:
        tensors: safetensors bytes, named by hash in the manifest.
    """

    version: str
    manifest: bytes
    signature: bytes
    key_id: str
    tensors: bytes
    active: bool
    received_at_ms: int


def add(connection: Connection, row: BundleRow) -> None:
    """Store a new bundle; a version that exists is a primary key violation, never replaced."""
    values = {name: getattr(row, name) for name in BundleRow.__slots__}
    connection.execute(insert(bundle).values(**values))


def find(connection: Connection, version: str) -> BundleRow | None:
    """The bundle of that version, or None."""
    return _first(connection, bundle.c.version == version)


def active(connection: Connection) -> BundleRow | None:
    """The active bundle, or None before the first."""
    return _first(connection, bundle.c.active.is_(True))


def active_version(connection: Connection) -> str | None:
    """The version of the active bundle, without reading its bytes, or None."""
    found = connection.execute(select(bundle.c.version).where(bundle.c.active.is_(True)))
    version = found.scalar_one_or_none()
    return None if version is None else str(version)


def activate(connection: Connection, version: str) -> None:
    """Make one bundle the active one."""
    connection.execute(update(bundle).values(active=bundle.c.version == version))


def _first(connection: Connection, condition: object) -> BundleRow | None:
    row = connection.execute(
        select(*[bundle.c[name] for name in BundleRow.__slots__]).where(condition)  # type: ignore[arg-type]
    ).one_or_none()
    return None if row is None else BundleRow(*row)
