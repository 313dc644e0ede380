"""Webhooks of one node, as its other parts use them."""

from collections.abc import Callable, Mapping
from typing import Any

from audit.database import Connection
from node.webhooks.outbox import Outbox


class Webhooks:
    """Tells clients; see `node.webhooks.outbox.Outbox.emit`."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._outbox = Outbox(now_ms)

    def emit(
        self,
        connection: Connection,
        client_id: str,
        type: str,  # noqa: A002
        data: Mapping[str, Any],
        *,
        consent_id: str | None = None,
    ) -> str:
        """Tell a client something, in the caller's transaction; the message's id."""
        return self._outbox.emit(connection, client_id, type, data, consent_id=consent_id)
