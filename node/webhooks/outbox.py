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

TYPES = (
    "batch.completed",
    "endpoint.test",
    "monitor.delinquency",
    "monitor.ended",
    "monitor.multi_lender_growth",
    "monitor.new_debt",
    "monitor.score_drop",
    "score_request.completed",
)
"""Types of messages; names are never re-used for something else."""
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
            type: one of `TYPES`.
            data: JSON object of ids and figures that this client knows or may know; nothing else
                about a person.
            consent_id: the consent it rests on; it is not sent once that stands no longer.

        Returns:
            The message's id. It can be replayed to an endpoint that is added later.

        Raises:
            InvalidInput: no such type, or too much data.
        """
        if type not in TYPES:
            raise InvalidInput(f"there are no messages of type {type}")
        now_ms = self._now_ms()
        body = canonical_json({"type": type, "timestamp": iso(now_ms), "data": dict(data)})
        if len(body) > MAX_BODY_BYTES:
            raise InvalidInput(f"a webhook message holds at most {MAX_BODY_BYTES} bytes")
        message = Message(new_id("msg"), client_id, type, body.decode(), consent_id, now_ms)
        webhooks.add_message(connection, message)
        wanted = webhooks.subscribed(connection, client_id, type)
        webhooks.add_deliveries(connection, message.message_id, wanted, now_ms)
        return message.message_id


def iso(at_ms: int) -> str:
    """A time as the payload states it: RFC 3339, UTC, milliseconds."""
    whole = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ms % 1000:03d}Z"
