"""Clients' webhook endpoints and the keys that messages to them are signed with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update

from audit.database import Connection
from node.storage.webhook_tables import webhook_endpoint, webhook_key

ACTIVE, DISABLED, DELETED = "active", "disabled", "deleted"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a client wants to be told.

    Attributes:
        types: of messages; empty: every type.
        state: `active`, `disabled` or `deleted`.
        disabled_for: why, a stable code; empty: it is not disabled.
        failing_since_ms: when an unbroken run of failures began; None: the last attempt went well.
    """

    endpoint_id: str
    client_id: str
    url: str
    types: tuple[str, ...]
    state: str
    disabled_for: str
    failing_since_ms: int | None
    created_at_ms: int
    changed_at_ms: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A signing key of an endpoint; `until_ms` is None for the one in force."""

    public: bytes
    sealed: bytes
    created_at_ms: int
    until_ms: int | None


def add(connection: Connection, endpoint: Endpoint) -> None:
    """Store a new endpoint."""
    values = {name: getattr(endpoint, name) for name in Endpoint.__slots__}
    values["types"] = " ".join(endpoint.types)
    connection.execute(insert(webhook_endpoint).values(**values))


def of_client(connection: Connection, client_id: str) -> list[Endpoint]:
    """A client's endpoints that were not deleted, the oldest first."""
    query = select(webhook_endpoint).where(
        webhook_endpoint.c.client_id == client_id, webhook_endpoint.c.state != DELETED
    )
    order = webhook_endpoint.c.created_at_ms, webhook_endpoint.c.endpoint_id
    return [_row(one) for one in connection.execute(query.order_by(*order)).mappings()]


def count(connection: Connection, client_id: str) -> int:
    """How many endpoints a client has."""
    query = select(func.count()).where(
        webhook_endpoint.c.client_id == client_id, webhook_endpoint.c.state != DELETED
    )
    return connection.execute(query).scalar_one()


def find(connection: Connection, endpoint_id: str) -> Endpoint | None:
    """An endpoint that was not deleted, or None."""
    query = select(webhook_endpoint).where(
        webhook_endpoint.c.endpoint_id == endpoint_id, webhook_endpoint.c.state != DELETED
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _row(row)


def change(connection: Connection, endpoint_id: str, **values: Any) -> None:
    """Set columns of an endpoint."""
    if "types" in values:
        values["types"] = " ".join(values["types"])
    connection.execute(
        update(webhook_endpoint)
        .where(webhook_endpoint.c.endpoint_id == endpoint_id)
        .values(**values)
    )


def add_key(connection: Connection, endpoint_id: str, key: KeyRow) -> None:
    """Store a key."""
    connection.execute(
        insert(webhook_key).values(
            endpoint_id=endpoint_id,
            public=key.public,
            sealed=key.sealed,
            created_at_ms=key.created_at_ms,
            until_ms=key.until_ms,
        )
    )


def retire_key(connection: Connection, endpoint_id: str, until_ms: int) -> None:
    """Let the key in force sign beside its successor until `until_ms`."""
    connection.execute(
        update(webhook_key)
        .where(webhook_key.c.endpoint_id == endpoint_id, webhook_key.c.until_ms.is_(None))
        .values(until_ms=until_ms)
    )


def keys(connection: Connection, endpoint_id: str, now_ms: int) -> list[KeyRow]:
    """Keys that sign now, the one in force first."""
    query = select(webhook_key).where(
        webhook_key.c.endpoint_id == endpoint_id,
        or_(webhook_key.c.until_ms.is_(None), webhook_key.c.until_ms > now_ms),
    )
    found = [
        KeyRow(row.public, row.sealed, row.created_at_ms, row.until_ms)
        for row in connection.execute(query)
    ]
    return sorted(found, key=lambda one: (one.until_ms is not None, -one.created_at_ms))


def drop_keys(connection: Connection, endpoint_id: str, public: Sequence[bytes] | None) -> None:
    """Destroy keys of an endpoint; None: all of them."""
    query = delete(webhook_key).where(webhook_key.c.endpoint_id == endpoint_id)
    connection.execute(query if public is None else query.where(webhook_key.c.public.in_(public)))


def drop_ended_keys(connection: Connection, now_ms: int) -> None:
    """Destroy keys whose time is over."""
    connection.execute(delete(webhook_key).where(webhook_key.c.until_ms <= now_ms))


def _row(values: Any) -> Endpoint:
    fields = {name: values[name] for name in Endpoint.__slots__}
    return Endpoint(**{**fields, "types": tuple(values["types"].split())})
