"""Webhooks of one node, as its other parts use them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from audit.database import Connection, Database
from audit.store import AuditLog
from node.settings import NodeSettings
from node.webhooks.addresses import Guard
from node.webhooks.delivery import Deliverer
from node.webhooks.endpoints import Endpoints
from node.webhooks.outbox import Outbox
from node.webhooks.sender import Sender, trusting


class Webhooks:
    """Tells clients.

    Attributes:
        endpoints: where they want to be told.
        deliverer: works off what is to be told.
    """

    def __init__(self, *, outbox: Outbox, endpoints: Endpoints, deliverer: Deliverer) -> None:
        self._outbox = outbox
        self.endpoints = endpoints
        self.deliverer = deliverer

    def emit(
        self,
        connection: Connection,
        client_id: str,
        type: str,  # noqa: A002
        data: Mapping[str, Any],
        *,
        consent_id: str | None = None,
    ) -> str:
        """Tell a client something, in the caller's transaction; the message's id.

        See `node.webhooks.outbox.Outbox.emit`.
        """
        return self._outbox.emit(connection, client_id, type, data, consent_id=consent_id)


def make_webhooks(
    settings: NodeSettings,
    *,
    home: Path,
    database: Database,
    audit: AuditLog,
    kek: bytes,
    clock: Callable[[], int],
) -> Webhooks:
    """The parts of a node that tell its clients.

    Raises:
        HomeUnusable: the file of `webhook_ca_file` cannot be read.
    """
    tls = trusting(home / settings.webhook_ca_file) if settings.webhook_ca_file else None
    guard = Guard(settings.webhook_networks)
    outbox = Outbox(clock)
    endpoints = Endpoints(
        database=database, audit=audit, kek=kek, guard=guard, outbox=outbox, now_ms=clock
    )
    deliverer = Deliverer(
        database=database,
        audit=audit,
        endpoints=endpoints,
        sender=Sender(guard, tls=tls),
        member_id=settings.member_id,
        now_ms=clock,
    )
    return Webhooks(outbox=outbox, endpoints=endpoints, deliverer=deliverer)
