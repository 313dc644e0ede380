"""The operations on webhook endpoints as calls."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from api.sdk.making import Page, body_of, listed, new_key, nothing, page, post, send
from api.sdk.reading import read
from api.sdk.results import Delivery, WebhookEndpoint
from api.sdk.wire import Call, HttpAnswer

_ALL = "/v1/webhook-endpoints"
_ONE = "/v1/webhook-endpoints/{endpoint_id}"
_endpoint = partial(read, WebhookEndpoint)


def create_webhook_endpoint(
    url: str, *, types: Sequence[str] = (), idempotency_key: str | None = None
) -> Call[WebhookEndpoint]:
    """Add a URL that is told of events; no types: all of them."""
    body = {"url": url, "types": list(types)}
    return post("createWebhookEndpoint", _ALL, _endpoint, body, key=idempotency_key or new_key())


def list_webhook_endpoints() -> Call[tuple[WebhookEndpoint, ...]]:
    """All endpoints of this client."""
    return Call("listWebhookEndpoints", "GET", _ALL, partial(listed, WebhookEndpoint))


def get_webhook_endpoint(endpoint_id: str) -> Call[WebhookEndpoint]:
    """One endpoint, with the keys that sign for it now."""
    return Call("getWebhookEndpoint", "GET", _ONE, _endpoint, {"endpoint_id": endpoint_id})


def update_webhook_endpoint(endpoint_id: str, **changes: Any) -> Call[WebhookEndpoint]:
    """Change its `url`, `types` or `state` (`active`, `disabled`)."""
    place = {"endpoint_id": endpoint_id}
    return send("PATCH", "updateWebhookEndpoint", _ONE, _endpoint, changes, path=place)


def delete_webhook_endpoint(endpoint_id: str) -> Call[None]:
    """Remove an endpoint; its keys are destroyed."""
    return Call("deleteWebhookEndpoint", "DELETE", _ONE, nothing, {"endpoint_id": endpoint_id})


def rotate_webhook_key(endpoint_id: str) -> Call[WebhookEndpoint]:
    """Sign with a new key; for 24 hours the one before signs beside it."""
    place = {"endpoint_id": endpoint_id}
    return Call("rotateWebhookKey", "POST", f"{_ONE}/rotate-key", _endpoint, place,
                idempotency_key=new_key())  # fmt: skip


def test_webhook_endpoint(endpoint_id: str) -> Call[Delivery]:
    """Send a test message there."""
    place = {"endpoint_id": endpoint_id}
    return Call("testWebhookEndpoint", "POST", f"{_ONE}/test", partial(read, Delivery), place,
                idempotency_key=new_key())  # fmt: skip


def replay_webhooks(
    endpoint_id: str,
    *,
    message_id: str | None = None,
    from_ms: int | None = None,
    until_ms: int | None = None,
) -> Call[int]:
    """Deliver one message again, or all of a span of time; how many deliveries that began."""
    named = {"message_id": message_id, "from_ms": from_ms, "until_ms": until_ms}
    body = {name: value for name, value in named.items() if value is not None}
    place = {"endpoint_id": endpoint_id}
    return post("replayWebhooks", f"{_ONE}/replay", partial(_count, "deliveries"), body,
                path=place, key=new_key())  # fmt: skip


def list_webhook_deliveries(
    endpoint_id: str, *, state: str | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Page[Delivery]]:
    """Deliveries to an endpoint with every attempt, the newest first."""
    query = {"state": state, "limit": limit, "cursor": cursor}
    return Call("listWebhookDeliveries", "GET", f"{_ONE}/deliveries", partial(page, Delivery),
                {"endpoint_id": endpoint_id}, query)  # fmt: skip


def _count(name: str, answer: HttpAnswer) -> int:
    return int(body_of(answer)[name])
