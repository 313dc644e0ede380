"""`/v1/webhook-endpoints`: where a client wants to be told, and how it went."""

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from api.http.access import Credentials, caller
from api.http.paging import Cursor, Limit, before, next_cursor
from api.http.refusals import refused_with_body
from api.http.webhook_models import (
    DeliveryAnswer,
    DeliveryPage,
    EndpointAnswer,
    EndpointBody,
    EndpointChange,
    EndpointList,
    ReplayBody,
    Replayed,
)
from node.access.clients import Clients
from node.webhooks.endpoints import Endpoints
from protocols.errors import InvalidInput

SCOPE = "webhooks:write"
EndpointId = Annotated[str, Path(max_length=40, examples=["whe_3d5f7h2j4k6m4n2p5q7r3s5t7u"])]
_REFUSALS = {
    400: "The request is not what it must be, or the URL is not one that is called from here.",
    401: "No token, or not one of a valid client.",
    403: "The token lacks the scope.",
    404: "This client has no such endpoint.",
    409: "The endpoint is disabled, or the client has enough of them.",
    422: "A field of the body is wrong.",
    503: "The database refuses; try again.",
}
_refused = partial(refused_with_body, _REFUSALS)


def webhook_routes(endpoints: Endpoints, clients: Clients) -> APIRouter:
    """The routes, over a node's endpoints and its clients."""
    router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"])
    _kept(router, endpoints, clients)
    _used(router, endpoints, clients)
    return router


def _kept(router: APIRouter, endpoints: Endpoints, clients: Clients) -> None:
    @router.post(
        "",
        operation_id="createWebhookEndpoint",
        summary="Add an endpoint",
        status_code=201,
        responses=_refused(400, 401, 403, 409, 422, 503),
    )
    def create(body: EndpointBody, credentials: Credentials) -> EndpointAnswer:
        """Add a URL that is told of events, with a signing key of its own.

        Keep `keys`: they are what a message is believed by.
        """
        client = caller(clients, credentials, SCOPE)
        return EndpointAnswer.of(endpoints.add(client.client_id, body.url, body.types))

    @router.get(
        "",
        operation_id="listWebhookEndpoints",
        summary="List endpoints",
        responses=_refused(401, 403, 503),
    )
    def every(credentials: Credentials) -> EndpointList:
        """All endpoints of this client, the oldest first; there are at most ten."""
        client = caller(clients, credentials, SCOPE)
        found = endpoints.of_client(client.client_id)
        return EndpointList(data=[EndpointAnswer.of(one) for one in found])

    @router.get(
        "/{endpoint_id}",
        operation_id="getWebhookEndpoint",
        summary="Read an endpoint and its public keys",
        responses=_refused(401, 403, 404, 422, 503),
    )
    def read(endpoint_id: EndpointId, credentials: Credentials) -> EndpointAnswer:
        """One endpoint, with the keys that sign for it now."""
        client = caller(clients, credentials, SCOPE)
        return EndpointAnswer.of(endpoints.get(client.client_id, endpoint_id))

    @router.patch(
        "/{endpoint_id}",
        operation_id="updateWebhookEndpoint",
        summary="Change an endpoint",
        responses=_refused(400, 401, 403, 404, 422, 503),
    )
    def change(
        endpoint_id: EndpointId, body: EndpointChange, credentials: Credentials
    ) -> EndpointAnswer:
        """Change its URL or types, disable it, or set it to work again."""
        client = caller(clients, credentials, SCOPE)
        active = None if body.state is None else body.state == "active"
        changed = endpoints.change(
            client.client_id, endpoint_id, url=body.url, types=body.types, active=active
        )
        return EndpointAnswer.of(changed)

    @router.delete(
        "/{endpoint_id}",
        operation_id="deleteWebhookEndpoint",
        summary="Remove an endpoint",
        status_code=204,
        responses=_refused(401, 403, 404, 422, 503),
    )
    def remove(endpoint_id: EndpointId, credentials: Credentials) -> Response:
        """Nothing more is sent to it; its keys are destroyed."""
        client = caller(clients, credentials, SCOPE)
        endpoints.remove(client.client_id, endpoint_id)
        return Response(status_code=204)


def _used(router: APIRouter, endpoints: Endpoints, clients: Clients) -> None:
    @router.post(
        "/{endpoint_id}/rotate-key",
        operation_id="rotateWebhookKey",
        summary="Sign with a new key",
        responses=_refused(401, 403, 404, 422, 503),
    )
    def rotate(endpoint_id: EndpointId, credentials: Credentials) -> EndpointAnswer:
        """For 24 hours messages carry both signatures; then the key before is destroyed."""
        client = caller(clients, credentials, SCOPE)
        return EndpointAnswer.of(endpoints.rotate(client.client_id, endpoint_id))

    @router.post(
        "/{endpoint_id}/test",
        operation_id="testWebhookEndpoint",
        summary="Send a test message",
        status_code=202,
        responses=_refused(401, 403, 404, 409, 422, 503),
    )
    def test(endpoint_id: EndpointId, credentials: Credentials) -> DeliveryAnswer:
        """Send `endpoint.test` there, whatever types it takes; its deliveries say how it went."""
        client = caller(clients, credentials, SCOPE)
        return DeliveryAnswer.of(endpoints.test(client.client_id, endpoint_id))

    @router.post(
        "/{endpoint_id}/replay",
        operation_id="replayWebhooks",
        summary="Deliver again",
        status_code=202,
        responses=_refused(400, 401, 403, 404, 409, 422, 503),
    )
    def replay(endpoint_id: EndpointId, body: ReplayBody, credentials: Credentials) -> Replayed:
        """Deliver one message again, or all of a span of time (1,000 at most, the oldest first).

        A message keeps its id. Messages are kept for 30 days.
        """
        client = caller(clients, credentials, SCOPE)
        span = body.from_ms is not None
        if span == (body.message_id is not None) or (body.until_ms is not None and not span):
            raise InvalidInput("name a message_id, or from_ms and perhaps until_ms")
        begun = endpoints.replay(
            client.client_id,
            endpoint_id,
            message_id=body.message_id,
            from_ms=body.from_ms or 0,
            until_ms=2**62 if body.until_ms is None else body.until_ms,
        )
        return Replayed(deliveries=begun)

    @router.get(
        "/{endpoint_id}/deliveries",
        operation_id="listWebhookDeliveries",
        summary="See what was delivered",
        responses=_refused(400, 401, 403, 404, 422, 503),
    )
    def deliveries(
        endpoint_id: EndpointId,
        credentials: Credentials,
        cursor: Cursor = None,
        limit: Limit = 50,
        state: Annotated[
            Literal["pending", "delivered", "failed", "withheld"] | None, Query()
        ] = None,
    ) -> DeliveryPage:
        """Deliveries with every attempt, the newest first."""
        client = caller(clients, credentials, SCOPE)
        found = endpoints.deliveries(
            client.client_id, endpoint_id, before=before(cursor), state=state, limit=limit
        )
        return DeliveryPage(
            data=[DeliveryAnswer.of(one) for one in found], next_cursor=next_cursor(found, limit)
        )
