"""Calls that clients named with an Idempotency-Key."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, select, update

from audit.database import Connection
from node.storage.access_tables import keyed_call


@dataclass(frozen=True, slots=True)
class KeyedCallRow:
    """One call.

    Attributes:
        status: what was answered; None: nothing yet.
        headers: of the answer, JSON.
        body: of the answer.
    """

    client_id: str
    idempotency_key: str
    request_sha256: bytes
    begun_at_ms: int
    status: int | None = None
    headers: str | None = None
    body: bytes | None = None


def find(connection: Connection, client_id: str, key: str) -> KeyedCallRow | None:
    """The call by that name, or None."""
    row = connection.execute(select(keyed_call).where(*_named(client_id, key))).mappings().first()
    return None if row is None else KeyedCallRow(**row)


def add(connection: Connection, row: KeyedCallRow) -> None:
    """Store a call that begins."""
    values = {name: getattr(row, name) for name in KeyedCallRow.__dataclass_fields__}
    connection.execute(insert(keyed_call).values(**values))


def answer(
    connection: Connection, client_id: str, key: str, status: int, headers: str, body: bytes
) -> None:
    """Keep what was answered."""
    connection.execute(
        update(keyed_call)
        .where(*_named(client_id, key))
        .values(status=status, headers=headers, body=body)
    )


def remove(connection: Connection, client_id: str, key: str) -> None:
    """Forget one call."""
    connection.execute(delete(keyed_call).where(*_named(client_id, key)))


def forget(connection: Connection, begun_before_ms: int) -> None:
    """Forget calls that began before then."""
    connection.execute(delete(keyed_call).where(keyed_call.c.begun_at_ms < begun_before_ms))


def _named(client_id: str, key: str) -> tuple[ColumnElement[bool], ...]:
    return keyed_call.c.client_id == client_id, keyed_call.c.idempotency_key == key
