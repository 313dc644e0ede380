"""Verifies webhooks: Standard Webhooks 1.0 with asymmetric signatures (`v1a`, Ed25519).

What is signed is `<webhook-id>.<webhook-timestamp>.<body>`, the body byte for byte as it came. The
same message may come twice: act on an `id` once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.sdk.errors import WebhookInvalid
from api.sdk.keys import now_s
from protocols.errors import Malformed, SignatureInvalid
from protocols.standard_webhooks import parse_public_key, verify

MAX_BODY_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A message that a node sent.

    Attributes:
        id: the same each time the message is sent.
        type: such as `score_request.completed`.
        timestamp: when it happened, RFC 3339.
        data: ids and figures.
    """

    id: str
    type: str
    timestamp: str
    data: Mapping[str, Any]


def verify_webhook(
    headers: Mapping[str, str], body: bytes, keys: Sequence[str], *, at_s: float | None = None
) -> WebhookEvent:
    """The message in a webhook request.

    Checks: 1. its size; 2. its three headers, that it was sent within five minutes of now, and that
    one of its signatures is by one of `keys`; 3. the body is a message.

    Args:
        headers: of the request, names in any case.
        body: as it came, before anything parsed it.
        keys: the endpoint's public keys, `whpk_...`; two while a key is being replaced.
        at_s: UTC seconds now.

    Raises:
        WebhookInvalid: a check fails.
    """
    if len(body) > MAX_BODY_BYTES:  # 1
        raise WebhookInvalid("the webhook is larger than any of a node's")
    given = {name.lower(): value for name, value in headers.items()}
    now = now_s() if at_s is None else at_s
    try:
        known = [parse_public_key(one) for one in keys]
        message_id = verify(known, given, body, int(now))  # 2
    except (SignatureInvalid, Malformed) as error:
        raise WebhookInvalid(error.message) from error
    return _event(message_id, body)  # 3


def _event(message_id: str, body: bytes) -> WebhookEvent:
    try:
        found = json.loads(body)
        kind, at, data = found["type"], found["timestamp"], found["data"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WebhookInvalid("the webhook's body is no message") from error
    if not (isinstance(kind, str) and isinstance(at, str) and isinstance(data, dict)):
        raise WebhookInvalid("the webhook's body is no message")
    return WebhookEvent(message_id, kind, at, data)
