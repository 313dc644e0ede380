"""What clients are to be told, written down in the transaction of what it tells of.

A message that is in the database when the transaction commits is delivered, whatever crashes after;
one of a transaction that does not commit was never there.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from audit.database import Connection
from node.storage import webhooks
from node.storage.webhooks import Message
from protocols.canonical import canonical_json
from protocols.errors import InvalidInput
from protocols.identifiers import new_id
from protocols.webhook_types import MESSAGE_TYPES

MAX_BODY_BYTES = 16 * 1024


class Outbox:
    """Where messages begin."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms

    def emit(
        self,
        connection: Connection,
        client_id: str,
        type: str,  # noqa: A002
        data: Mapping[str, Any],
        *,
        consent_id: str | None = None,
    ) -> str:
        """Tell a client something, at each of its endpoints that wants this type.

        Args:
            connection: the write transaction of what is told.
            client_id: whom.
            type: one of `protocols.webhook_types`.
            data: JSON object of ids and figures that this client knows or may know; nothing else
                about a person.
            consent_id: the consent it rests on; it is not sent once that stands no longer.

        Returns:
            The message's id. It can be replayed to an endpoint that is added later.

        Raises:
            InvalidInput: no such type, or too much data.
        """
        message_id = self.keep(connection, client_id, type, data, consent_id=consent_id)
        pairs = [(message_id, one) for one in webhooks.subscribed(connection, client_id, type)]
        webhooks.add_deliveries(connection, pairs, self._now_ms())
        return message_id

    def keep(
        self,
        connection: Connection,
        client_id: str,
        type: str,  # noqa: A002
        data: Mapping[str, Any],
        *,
        consent_id: str | None = None,
    ) -> str:
        """Keep a message that goes nowhere by itself; as `emit`."""
        if type not in MESSAGE_TYPES:
            raise InvalidInput(f"there are no messages of type {type}")
        now_ms = self._now_ms()
        body = canonical_json({"type": type, "timestamp": iso(now_ms), "data": dict(data)})
        if len(body) > MAX_BODY_BYTES:
            raise InvalidInput(f"a webhook message holds at most {MAX_BODY_BYTES} bytes")
        message = Message(new_id("msg"), client_id, type, body.decode(), consent_id, now_ms)
        webhooks.add_message(connection, message)
        return message.message_id


def iso(at_ms: int) -> str:
    """A time as the payload states it: RFC 3339, UTC, milliseconds."""
    whole = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ms % 1000:03d}Z"
