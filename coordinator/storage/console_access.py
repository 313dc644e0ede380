"""One-time links to the console and the sessions they opened."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from audit.database import Connection
from coordinator.storage.console_tables import console_link, console_session


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of a browser; of its token only the SHA-256 is kept.

    Attributes:
        session_id: its name in lists and in the log; opens nothing.
        agent: browser and system, as coarse as a person recognises them.
    """

    token_sha256: bytes
    session_id: str
    agent: str
    created_at_ms: int
    expires_at_ms: int


def add_link(
    connection: Connection, token_sha256: bytes, created_at_ms: int, expires_at_ms: int
) -> None:
    """Store a new link."""
    connection.execute(
        insert(console_link).values(
            token_sha256=token_sha256,
            created_at_ms=created_at_ms,
            expires_at_ms=expires_at_ms,
            used_at_ms=None,
        )
    )


def spend_link(connection: Connection, token_sha256: bytes, now_ms: int) -> bool:
    """Use a link up; False when there is none such, it was used, or its time is over."""
    changed = connection.execute(
        update(console_link)
        .where(
            console_link.c.token_sha256 == token_sha256,
            console_link.c.used_at_ms.is_(None),
            console_link.c.expires_at_ms > now_ms,
        )
        .values(used_at_ms=now_ms)
    )
    return changed.rowcount == 1


def void_links(connection: Connection) -> None:
    """Take back every link that was not used."""
    connection.execute(delete(console_link).where(console_link.c.used_at_ms.is_(None)))


def add_session(connection: Connection, row: SessionRow) -> None:
    """Store a new session."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    connection.execute(insert(console_session).values(**values))


def find_session(connection: Connection, token_sha256: bytes, now_ms: int) -> SessionRow | None:
    """The session of that token that has not ended, or None."""
    found = connection.execute(
        select(console_session).where(
            console_session.c.token_sha256 == token_sha256,
            console_session.c.expires_at_ms > now_ms,
        )
    )
    row = found.mappings().one_or_none()
    return None if row is None else SessionRow(**row)


def sessions(connection: Connection, now_ms: int) -> list[SessionRow]:
    """The sessions that have not ended, the newest first."""
    rows = connection.execute(
        select(console_session)
        .where(console_session.c.expires_at_ms > now_ms)
        .order_by(console_session.c.created_at_ms.desc(), console_session.c.session_id)
    )
    return [SessionRow(**row) for row in rows.mappings()]


def end_session(connection: Connection, token_sha256: bytes) -> str | None:
    """End the session of that token; its id, or None when there was none."""
    query = select(console_session.c.session_id).where(
        console_session.c.token_sha256 == token_sha256
    )
    found: str | None = connection.execute(query).scalar_one_or_none()
    if found is not None:
        connection.execute(
            delete(console_session).where(console_session.c.token_sha256 == token_sha256)
        )
    return found


def end_sessions(connection: Connection) -> int:
    """End every session; how many there were."""
    return connection.execute(delete(console_session)).rowcount


def prune(connection: Connection, now_ms: int) -> None:
    """Drop what time has ended."""
    connection.execute(delete(console_link).where(console_link.c.expires_at_ms <= now_ms))
    connection.execute(delete(console_session).where(console_session.c.expires_at_ms <= now_ms))
