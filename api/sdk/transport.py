"""What both transports share: requests for httpx, and answers of it."""

from typing import Any

import httpx

from api.sdk.core import MAX_ANSWER_BYTES
from api.sdk.errors import Unreachable
from api.sdk.wire import HttpAnswer, HttpRequest

TIMEOUT_S = 20.0


def address_of(base_url: str) -> httpx.URL:
    """Where a node's API is.

    Raises:
        Unreachable: that is no http or https address.
    """
    try:
        address = httpx.URL(base_url)
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in {"http", "https"} or not address.host:
        raise Unreachable("a node's API is at an http or https address, and this is none")
    return address


def request_of(step: HttpRequest) -> dict[str, Any]:
    """The arguments of httpx for a request."""
    return {
        "method": step.method,
        "url": step.path,
        "headers": dict(step.headers),
        "content": step.body or None,
    }


def answer_of(response: httpx.Response, body: bytes) -> HttpAnswer:
    """An answer with its whole body."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpAnswer(response.status_code, headers, body)


def too_large(body: bytes | bytearray) -> bool:
    """Whether more came than any answer of a node has."""
    return len(body) > MAX_ANSWER_BYTES
