"""What a node's clients are told and tell: webhooks, monitors, outcomes."""

from typing import Protocol

from fastapi import APIRouter

from api.http.monitoring import monitor_routes
from api.http.outcomes import outcome_routes
from api.http.webhooks import webhook_routes
from node.access.clients import Clients
from node.monitoring.wiring import Monitoring
from node.outcomes.service import OutcomeService
from node.webhooks.service import Webhooks


class EventsNode(Protocol):
    """What these routes need of a node."""

    @property
    def clients(self) -> Clients:
        """Who may call."""
        ...

    @property
    def webhooks(self) -> Webhooks:
        """Tells clients."""
        ...

    @property
    def monitoring(self) -> Monitoring:
        """Watches over people."""
        ...

    @property
    def outcomes(self) -> OutcomeService:
        """Takes what became of loans."""
        ...


def event_routes(node: EventsNode) -> list[APIRouter]:
    """The routers, over a node."""
    return [
        webhook_routes(node.webhooks.endpoints, node.clients),
        monitor_routes(node.monitoring.monitors, node.clients),
        outcome_routes(node.outcomes, node.clients),
    ]
