"""Financing platforms that may call this node's API; a token stands here only as its SHA-256."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from audit.bulk import Prepared
from audit.database import Connection
from node.storage.tables import api_client


@dataclass(frozen=True)
class ClientRow:
    """One API client.

    Attributes:
        scopes: what it may call, space separated.
        revoked_at_ms: since when its token opens nothing; None: it is valid.
    """

    client_id: str
    name: str
    token_sha256: bytes
    scopes: str
    created_at_ms: int
    revoked_at_ms: int | None = None


_NAMES = [one.name for one in fields(ClientRow)]
# Every call of a client begins with it.
_BY_ID = Prepared(
    select(*(api_client.c[name] for name in _NAMES)).where(
        api_client.c.client_id == bindparam("one")
    )
)


def add(connection: Connection, row: ClientRow) -> None:
    """Store a new client."""
    connection.execute(insert(api_client).values(**row.__dict__))


def find(connection: Connection, client_id: str) -> ClientRow | None:
    """The client by that id, or None."""
    rows = _BY_ID.rows(connection, one=client_id)
    return ClientRow(*rows[0]) if rows else None


def by_name(connection: Connection, name: str) -> ClientRow | None:
    """The client by that name, revoked or not, or None."""
    found = connection.execute(select(api_client).where(api_client.c.name == name))
    row = found.mappings().one_or_none()
    return _row(row) if row is not None else None


def every(connection: Connection) -> list[ClientRow]:
    """All clients, oldest first."""
    rows = connection.execute(
        select(api_client).order_by(api_client.c.created_at_ms, api_client.c.client_id)
    )
    return [_row(row) for row in rows.mappings()]


def revoke(connection: Connection, client_id: str, at_ms: int) -> bool:
    """Revoke a client; False when there is none by that id that was valid."""
    changed = connection.execute(
        update(api_client)
        .where(api_client.c.client_id == client_id, api_client.c.revoked_at_ms.is_(None))
        .values(revoked_at_ms=at_ms)
    )
    return changed.rowcount == 1


def _row(values: Mapping[Any, Any]) -> ClientRow:
    return ClientRow(**values)
