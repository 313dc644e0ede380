"""Signed documents of the network; the newest of a kind is in force.

Every version is kept that says something new.
"""

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, insert, select

from audit.database import Connection
from coordinator.storage.tables import document
from protocols.documents import Document


def publish(connection: Connection, signed: Document, at_ms: int) -> None:
    """Store a new version; a version that exists is a primary key violation, never replaced."""
    connection.execute(
        insert(document).values(
            kind=signed.kind,
            version=signed.version,
            body=signed.body,
            signature=signed.signature,
            key_id=signed.key_id,
            created_at_ms=at_ms,
        )
    )


def newest(connection: Connection, kind: str) -> Document | None:
    """The document of `kind` in force, or None when none was published."""
    row = connection.execute(
        select(
            document.c.kind,
            document.c.version,
            document.c.body,
            document.c.signature,
            document.c.key_id,
        )
        .where(document.c.kind == kind)
        .order_by(document.c.version.desc())
        .limit(1)
    ).one_or_none()
    return Document(*row) if row is not None else None


def newest_version(connection: Connection, kind: str) -> int:
    """The version of `kind` in force, 0 when none was published."""
    query = select(func.max(document.c.version)).where(document.c.kind == kind)
    return connection.execute(query).scalar_one() or 0


def before(connection: Connection, kind: str, version: int) -> Document | None:
    """The newest document of `kind` below a version, or None."""
    row = connection.execute(
        select(
            document.c.kind,
            document.c.version,
            document.c.body,
            document.c.signature,
            document.c.key_id,
        )
        .where(document.c.kind == kind, document.c.version < version)
        .order_by(document.c.version.desc())
        .limit(1)
    ).one_or_none()
    return Document(*row) if row is not None else None


def delete(connection: Connection, kind: str, version: int) -> None:
    """Forget a version that a newer one repeats."""
    connection.execute(
        sql_delete(document).where(document.c.kind == kind, document.c.version == version)
    )
