"""Webhooks in the database: the outbox, and the log of what was delivered."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select

from audit.database import Connection
from node.storage.webhook_tables import webhook_delivery, webhook_endpoint, webhook_message
from protocols.identifiers import new_id


@dataclass(frozen=True, slots=True)
class Message:
    """What a client is told.

    Attributes:
        body: JSON, the text that is sent and signed.
        consent_id: it may be told only while this consent allows it; None: always.
    """

    message_id: str
    client_id: str
    type: str
    body: str
    consent_id: str | None
    at_ms: int


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
        webhook_endpoint.c.client_id == client_id, webhook_endpoint.c.state == "active"
    )
    return [
        row.endpoint_id
        for row in connection.execute(query.order_by(webhook_endpoint.c.endpoint_id))
        if not row.types or type_ in row.types.split()
    ]


def add_deliveries(
    connection: Connection, message_id: str, endpoint_ids: Sequence[str], now_ms: int
) -> list[str]:
    """Have a message delivered to endpoints from now on; the deliveries' ids."""
    rows = [
        {
            "delivery_id": new_id("whd"),
            "message_id": message_id,
            "endpoint_id": one,
            "state": "pending",
            "attempts": 0,
            "due_at_ms": now_ms,
            "created_at_ms": now_ms,
        }
        for one in endpoint_ids
    ]
    if rows:
        connection.execute(insert(webhook_delivery), rows)
    return [str(row["delivery_id"]) for row in rows]
