"""Financing platforms that may call this node's API; a plain token stands here as its SHA-256."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from audit.bulk import Prepared, SelectByKeys
from audit.database import Connection
from node.storage.tables import api_client


@dataclass(frozen=True)
class ClientRow:
    """One API client.

    Attributes:
        token_sha256: of its plain token; None: it has keys.
        scopes: what it may call, space separated.
        revoked_at_ms: since when it may call nothing; None: it is valid.
        generation: access tokens of an earlier one are refused.
        rate: calls a second; None: as the node's settings say.
        burst: calls at once; None: likewise.
        daily_quota: calls a UTC day; None: likewise.
    """

    client_id: str
    name: str
    token_sha256: bytes | None
    scopes: str
    created_at_ms: int
    revoked_at_ms: int | None = None
    generation: int = 0
    rate: float | None = None
    burst: int | None = None
    daily_quota: int | None = None


_NAMES = [one.name for one in fields(ClientRow)]
# Every call of a client begins with it.
_BY_ID = Prepared(
    select(*(api_client.c[name] for name in _NAMES)).where(
        api_client.c.client_id == bindparam("one")
    )
)


_GENERATIONS = SelectByKeys(
    lambda keys: select(api_client.c.client_id, api_client.c.generation).where(
        api_client.c.client_id.in_(keys), api_client.c.revoked_at_ms.is_(None)
    )
)


def generations(connection: Connection, client_ids: Sequence[str]) -> dict[str, int]:
    """The generation of each of these clients that is valid."""
    return {str(row[0]): int(row[1]) for row in _GENERATIONS(connection, client_ids)}


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


def next_generation(connection: Connection, client_id: str) -> None:
    """Refuse the access tokens that a client has."""
    connection.execute(
        update(api_client)
        .where(api_client.c.client_id == client_id)
        .values(generation=api_client.c.generation + 1)
    )


def limit(
    connection: Connection,
    client_id: str,
    rate: float | None,
    burst: int | None,
    daily_quota: int | None,
) -> None:
    """Give a client limits of its own; None: the node's."""
    connection.execute(
        update(api_client)
        .where(api_client.c.client_id == client_id)
        .values(rate=rate, burst=burst, daily_quota=daily_quota)
    )


def _row(values: Mapping[Any, Any]) -> ClientRow:
    return ClientRow(**values)
