"""Webhooks in the database: the outbox, its deliveries, and the log of attempts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from audit.database import Connection
from node.storage.tables import api_client, consent
from node.storage.webhook_tables import (
    webhook_attempt,
    webhook_delivery,
    webhook_endpoint,
    webhook_message,
)
from protocols.identifiers import new_id


@dataclass(frozen=True, slots=True)
class Message:
    """What a client is told.

    Attributes:
        body: JSON, the text that is sent and signed.
        consent_id: it may be told only while this consent is in force; None: always.
    """

    message_id: str
    client_id: str
    type: str
    body: str
    consent_id: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery to be attempted, with its message and where it goes."""

    delivery_id: str
    endpoint_id: str
    url: str
    attempts: int
    message: Message


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: `status` of HTTP, None: no answer; `failure` a stable code, empty: taken."""

    at_ms: int
    ms: int
    status: int | None
    failure: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one endpoint, as its log shows it."""

    seq: int
    delivery_id: str
    message_id: str
    type: str
    state: str
    attempts: tuple[Attempt, ...]
    due_at_ms: int
    created_at_ms: int


def add_message(connection: Connection, message: Message) -> None:
    """Keep a message."""
    connection.execute(
        insert(webhook_message).values(
            message_id=message.message_id,
            client_id=message.client_id,
            type=message.type,
            body=message.body,
            consent_id=message.consent_id,
            at_ms=message.at_ms,
        )
    )


def subscribed(connection: Connection, client_id: str, type_: str) -> list[str]:
    """Ids of a client's active endpoints that want messages of a type."""
    query = select(webhook_endpoint.c.endpoint_id, webhook_endpoint.c.types).where(
        webhook_endpoint.c.client_id == client_id, webhook_endpoint.c.state == "active", _served()
    )
    return [
        row.endpoint_id
        for row in connection.execute(query.order_by(webhook_endpoint.c.endpoint_id))
        if not row.types or type_ in row.types.split()
    ]


def add_deliveries(
    connection: Connection, pairs: Sequence[tuple[str, str]], now_ms: int
) -> list[str]:
    """Deliver messages to endpoints from now on.

    Args:
        connection: a write transaction.
        pairs: message id and endpoint id.
        now_ms: UTC milliseconds.

    Returns:
        The deliveries' ids, in order.
    """
    rows = [
        {
            "delivery_id": new_id("whd"),
            "message_id": message_id,
            "endpoint_id": endpoint_id,
            "state": "pending",
            "attempts": 0,
            "due_at_ms": now_ms,
            "created_at_ms": now_ms,
        }
        for message_id, endpoint_id in pairs
    ]
    if rows:
        connection.execute(insert(webhook_delivery), rows)
    return [str(row["delivery_id"]) for row in rows]


def messages_of(
    connection: Connection,
    client_id: str,
    *,
    message_id: str | None = None,
    from_ms: int = 0,
    until_ms: int = 2**62,
    limit: int,
) -> list[tuple[str, str]]:
    """Id and type of messages to a client, the oldest first."""
    query = select(webhook_message.c.message_id, webhook_message.c.type).where(
        webhook_message.c.client_id == client_id,
        webhook_message.c.at_ms >= from_ms,
        webhook_message.c.at_ms < until_ms,
    )
    if message_id is not None:
        query = query.where(webhook_message.c.message_id == message_id)
    rows = connection.execute(query.order_by(webhook_message.c.seq).limit(limit))
    return [(row.message_id, row.type) for row in rows]


def claim(
    connection: Connection, now_ms: int, lease_ms: int, limit: int, busy: Collection[str]
) -> list[Due]:
    """Deliveries that are due, the longest due first; nobody else claims them for `lease_ms`.

    Args:
        connection: a write transaction.
        now_ms: UTC milliseconds.
        lease_ms: after which a crash's leavings are due again.
        limit: at most so many.
        busy: endpoints that have enough under way.
    """
    query = (
        select(webhook_delivery, webhook_message, webhook_endpoint.c.url)
        .join(webhook_message, webhook_message.c.message_id == webhook_delivery.c.message_id)
        .join(webhook_endpoint, webhook_endpoint.c.endpoint_id == webhook_delivery.c.endpoint_id)
        .where(webhook_delivery.c.state == "pending", webhook_delivery.c.due_at_ms <= now_ms)
        .where(webhook_endpoint.c.state == "active", _served())
        .where(webhook_delivery.c.endpoint_id.not_in(sorted(busy)))
        .order_by(webhook_delivery.c.due_at_ms, webhook_delivery.c.seq)
        .limit(limit)
    )
    found = [
        Due(
            row[webhook_delivery.c.delivery_id],
            row[webhook_delivery.c.endpoint_id],
            row[webhook_endpoint.c.url],
            row[webhook_delivery.c.attempts],
            Message(
                row[webhook_message.c.message_id],
                row[webhook_message.c.client_id],
                row[webhook_message.c.type],
                row[webhook_message.c.body],
                row[webhook_message.c.consent_id],
                row[webhook_message.c.at_ms],
            ),
        )
        for row in connection.execute(query).mappings()
    ]
    if found:
        connection.execute(
            update(webhook_delivery)
            .where(webhook_delivery.c.delivery_id.in_([one.delivery_id for one in found]))
            .values(due_at_ms=now_ms + lease_ms)
        )
    return found


def any_due(connection: Connection, now_ms: int) -> bool:
    """Whether some delivery is due."""
    query = select(webhook_delivery.c.seq).where(
        webhook_delivery.c.state == "pending", webhook_delivery.c.due_at_ms <= now_ms
    )
    return connection.execute(query.limit(1)).first() is not None


def consent_stands(connection: Connection, consent_id: str, now_ms: int) -> bool:
    """Whether a consent is in force here."""
    query = select(consent.c.consent_id).where(
        consent.c.consent_id == consent_id,
        consent.c.state == "active",
        consent.c.valid_until_ms > now_ms,
    )
    return connection.execute(query).first() is not None


def note_attempt(connection: Connection, delivery_id: str, attempt: Attempt) -> None:
    """Write an attempt into the log."""
    connection.execute(
        insert(webhook_attempt).values(
            delivery_id=delivery_id,
            at_ms=attempt.at_ms,
            ms=attempt.ms,
            status=attempt.status,
            failure=attempt.failure,
        )
    )
    connection.execute(
        update(webhook_delivery)
        .where(webhook_delivery.c.delivery_id == delivery_id)
        .values(attempts=webhook_delivery.c.attempts + 1)
    )


def settle(connection: Connection, delivery_id: str, state: str) -> None:
    """End a delivery as `delivered`, `failed` or `withheld`."""
    _pending(connection, delivery_id, state=state)


def later(connection: Connection, delivery_id: str, due_at_ms: int) -> None:
    """Try again at `due_at_ms`."""
    _pending(connection, delivery_id, due_at_ms=due_at_ms)


def fail_pending(connection: Connection, endpoint_id: str) -> None:
    """Give up what an endpoint has not taken."""
    connection.execute(
        update(webhook_delivery)
        .where(webhook_delivery.c.endpoint_id == endpoint_id, webhook_delivery.c.state == "pending")
        .values(state="failed")
    )


def deliveries(
    connection: Connection, endpoint_id: str, *, before: int, state: str | None, limit: int
) -> list[Delivery]:
    """Deliveries to an endpoint with a `seq` below `before`, the newest first."""
    query = (
        select(webhook_delivery, webhook_message.c.type)
        .join(webhook_message, webhook_message.c.message_id == webhook_delivery.c.message_id)
        .where(webhook_delivery.c.endpoint_id == endpoint_id, webhook_delivery.c.seq < before)
        .order_by(webhook_delivery.c.seq.desc())
        .limit(limit)
    )
    if state is not None:
        query = query.where(webhook_delivery.c.state == state)
    return _with_attempts(connection, list(connection.execute(query).mappings()))


def delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    """One delivery, or None."""
    query = (
        select(webhook_delivery, webhook_message.c.type)
        .join(webhook_message, webhook_message.c.message_id == webhook_delivery.c.message_id)
        .where(webhook_delivery.c.delivery_id == delivery_id)
    )
    found = _with_attempts(connection, list(connection.execute(query).mappings()))
    return found[0] if found else None


def forget(connection: Connection, before_ms: int) -> int:
    """Delete messages that are older, and what is logged of them; how many."""
    old = select(webhook_message.c.message_id).where(webhook_message.c.at_ms < before_ms)
    gone = select(webhook_delivery.c.delivery_id).where(webhook_delivery.c.message_id.in_(old))
    connection.execute(delete(webhook_attempt).where(webhook_attempt.c.delivery_id.in_(gone)))
    connection.execute(delete(webhook_delivery).where(webhook_delivery.c.message_id.in_(old)))
    return connection.execute(
        delete(webhook_message).where(webhook_message.c.at_ms < before_ms)
    ).rowcount


def _served() -> Any:
    # A client that was revoked is told nothing more.
    revoked = select(api_client.c.client_id).where(api_client.c.revoked_at_ms.is_not(None))
    return webhook_endpoint.c.client_id.not_in(revoked)


def _pending(connection: Connection, delivery_id: str, **values: Any) -> None:
    connection.execute(
        update(webhook_delivery)
        .where(webhook_delivery.c.delivery_id == delivery_id, webhook_delivery.c.state == "pending")
        .values(**values)
    )


def _with_attempts(connection: Connection, rows: Sequence[Any]) -> list[Delivery]:
    ids = [row["delivery_id"] for row in rows]
    tried: dict[str, list[Attempt]] = {}
    query = select(webhook_attempt).where(webhook_attempt.c.delivery_id.in_(ids))
    for row in connection.execute(query.order_by(webhook_attempt.c.attempt_id)):
        attempt = Attempt(row.at_ms, row.ms, row.status, row.failure)
        tried.setdefault(row.delivery_id, []).append(attempt)
    return [
        Delivery(
            row["seq"],
            row["delivery_id"],
            row["message_id"],
            row["type"],
            row["state"],
            tuple(tried.get(row["delivery_id"], ())),
            row["due_at_ms"],
            row["created_at_ms"],
        )
        for row in rows
    ]
