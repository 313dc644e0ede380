"""Keys of API clients, assertions that were spent, and calls of a day; all in one place in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, or_, select, update

from audit.database import Connection
from node.storage.access_tables import client_key, client_usage, spent_assertion


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One public key of a client.

    Attributes:
        jwk: canonical JSON.
        until_ms: when it ends; None: when it is rotated out.
    """

    client_id: str
    kid: str
    thumbprint: str
    jwk: str
    added_at_ms: int
    until_ms: int | None = None


# -- keys


def add_keys(connection: Connection, rows: Sequence[KeyRow]) -> None:
    """Store new keys."""
    values = [{name: getattr(row, name) for name in KeyRow.__dataclass_fields__} for row in rows]
    connection.execute(insert(client_key), values)


def keys_of(connection: Connection, client_id: str) -> list[KeyRow]:
    """All keys that a client ever had, oldest first."""
    found = connection.execute(
        select(client_key)
        .where(client_key.c.client_id == client_id)
        .order_by(client_key.c.added_at_ms, client_key.c.kid)
    )
    return [KeyRow(**row) for row in found.mappings()]


def end_keys(connection: Connection, client_id: str, kids: Sequence[str], until_ms: int) -> None:
    """Let keys end at `until_ms`, or when they were to end before it."""
    connection.execute(
        update(client_key)
        .where(
            client_key.c.client_id == client_id,
            client_key.c.kid.in_(kids),
            or_(client_key.c.until_ms.is_(None), client_key.c.until_ms > until_ms),
        )
        .values(until_ms=until_ms)
    )


# -- what may be shown once


def spend(connection: Connection, digest: bytes, until_ms: int) -> bool:
    """Note that an assertion was shown; False when it was before."""
    spent = select(spent_assertion.c.digest).where(spent_assertion.c.digest == digest)
    if connection.execute(spent).first() is not None:
        return False
    connection.execute(insert(spent_assertion).values(digest=digest, until_ms=until_ms))
    return True


def forget_spent(connection: Connection, now_ms: int) -> None:
    """Drop what would be refused for its age."""
    connection.execute(delete(spent_assertion).where(spent_assertion.c.until_ms < now_ms))


# -- calls of a day


def calls_of(connection: Connection, client_id: str, day: int) -> int:
    """Calls that a client has made, or that are set aside for it, on a UTC day."""
    found = connection.execute(
        select(client_usage.c.calls).where(
            client_usage.c.client_id == client_id, client_usage.c.day == day
        )
    ).scalar()
    return int(found or 0)


def set_calls(connection: Connection, client_id: str, day: int, calls: int) -> None:
    """Write the calls of a client's day."""
    where = (client_usage.c.client_id == client_id, client_usage.c.day == day)
    if connection.execute(update(client_usage).where(*where).values(calls=calls)).rowcount == 0:
        connection.execute(insert(client_usage).values(client_id=client_id, day=day, calls=calls))


def forget_usage(connection: Connection, before_day: int) -> None:
    """Drop the counts of days before `before_day`."""
    connection.execute(delete(client_usage).where(client_usage.c.day < before_day))
