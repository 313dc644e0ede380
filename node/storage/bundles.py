"""Model bundles this node verified; at most one is active, and one scored in its shadow."""

from dataclasses import dataclass

from sqlalchemy import false, insert, select, update

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


def in_use(connection: Connection) -> tuple[str | None, str | None]:
    """The versions that are active and in its shadow, without reading their bytes."""
    found = connection.execute(_IN_USE).all()
    active = next((str(version) for version, active, _ in found if active), None)
    shadow = next((str(version) for version, _, shadow in found if shadow), None)
    return active, shadow


def manifests(connection: Connection) -> dict[str, bytes]:
    """The signed manifest of every bundle kept, by version, the one received last first."""
    query = select(bundle.c.version, bundle.c.manifest)
    rows = connection.execute(query.order_by(bundle.c.received_at_ms.desc(), bundle.c.version))
    return {str(version): bytes(manifest) for version, manifest in rows}


def activate(connection: Connection, version: str | None) -> None:
    """Make one bundle the active one, or none."""
    connection.execute(update(bundle).values(active=_is(version)))


def set_shadow(connection: Connection, version: str | None) -> None:
    """Have one bundle scored in the active one's shadow, or none."""
    connection.execute(update(bundle).values(shadow=_is(version)))


def _is(version: str | None) -> object:
    return false() if version is None else bundle.c.version == version


# Built once: every score asks it.
_IN_USE = select(bundle.c.version, bundle.c.active, bundle.c.shadow).where(
    bundle.c.active.is_(True) | bundle.c.shadow.is_(True)
)


def _first(connection: Connection, condition: object) -> BundleRow | None:
    row = connection.execute(
        select(*[bundle.c[name] for name in BundleRow.__slots__]).where(condition)  # type: ignore[arg-type]
    ).one_or_none()
    return None if row is None else BundleRow(*row)
