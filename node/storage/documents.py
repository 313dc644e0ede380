"""Signed documents as stored: the newest of a kind in force, a few before it kept."""

from sqlalchemy import Connection, delete, func, insert, select

from node.storage.tables import document
from protocols.documents import Document


def newest(connection: Connection, kind: str) -> Document | None:
    """The document of the highest version of `kind`, or None."""
    statement = (
        select(document).where(document.c.kind == kind).order_by(document.c.version.desc()).limit(1)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return Document(row.kind, row.version, row.body, row.signature, row.key_id)


def newest_version(connection: Connection, kind: str) -> int:
    """The highest version of `kind`, 0 when there is none."""
    query = select(func.max(document.c.version)).where(document.c.kind == kind)
    return connection.execute(query).scalar_one() or 0


def forget(connection: Connection, kind: str, version: int) -> None:
    """Delete what is of this version or older: the coordinator issues one every few minutes."""
    connection.execute(
        delete(document).where(document.c.kind == kind, document.c.version <= version)
    )


def every(connection: Connection, kind: str) -> list[Document]:
    """All documents of `kind`, the newest first."""
    statement = select(document).where(document.c.kind == kind).order_by(document.c.version.desc())
    return [
        Document(row.kind, row.version, row.body, row.signature, row.key_id)
        for row in connection.execute(statement)
    ]


def add(connection: Connection, received: Document, now_ms: int) -> None:
    """Store a version that is not stored yet."""
    connection.execute(
        insert(document).values(
            kind=received.kind,
            version=received.version,
            body=received.body,
            signature=received.signature,
            key_id=received.key_id,
            received_at_ms=now_ms,
        )
    )
