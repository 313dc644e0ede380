"""Limits on what comes in, before anything parses it (plain ASGI).

Numbered, in the order in which they are applied to a request with a body:

1. The content type is one that the application reads, else 415.
2. A declared length is not above the cap, else 413, with nothing read.
3. The body as it comes is not above the cap either, else 413.
4. The whole body is here before the deadline, else 408.

The body is then handed on in one piece. At a path in `BodyLimits.streams` it is handed on as it
comes, under limits of its own: the same checks, 3 and 4 while the application reads it. Slow
headers are cut off by `api.http.server`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import status_problem

Respond = Callable[[int, str], Awaitable[None]]
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class StreamLimits:
    """What a body that is read as it comes may be; as in `BodyLimits`."""

    max_bytes: int
    deadline_s: float
    content_types: frozenset[str]

    def reads(self, content_type: str, path: str) -> bool:  # noqa: ARG002 - as `BodyLimits`
        """Whether a body of this type is read."""
        return content_type in self.content_types


STREAMS: Mapping[str, StreamLimits] = {
    "/v1/batches": StreamLimits(
        16 * 1024 * 1024, 60.0, frozenset({"application/jsonl", "application/x-ndjson"})
    )
}


@dataclass(frozen=True)
class BodyLimits:
    """What a request body may be.

    Attributes:
        max_bytes: cap on the body.
        deadline_s: seconds from the end of the headers to the end of the body.
        content_types: media types that are read.
        streams: whole paths whose bodies are read as they come.
        form_paths: first parts of the paths where forms are read too.
    """

    max_bytes: int = 64 * 1024
    deadline_s: float = 10.0
    content_types: frozenset[str] = frozenset({"application/json"})
    streams: Mapping[str, StreamLimits] = field(default_factory=lambda: dict(STREAMS))
    form_paths: tuple[str, ...] = ("/portal/", "/desk/", "/regulator/", "/oauth/")

    def reads(self, content_type: str, path: str) -> bool:
        """Whether a body of this type is read at this path."""
        return content_type in self.content_types or (
            content_type == _FORM and path.startswith(self.form_paths)
        )


class _TooLarge(Exception):
    """A signal inside this module."""


class _TooSlow(Exception):
    """A signal inside this module."""


class LimitedBodies:
    """ASGI middleware that applies `BodyLimits` to every HTTP request."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 408, 413 or 415, or hand the request on with its body read."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return

        async def refuse(status: int, detail: str) -> None:
            request_id = scope.get("state", {}).get("request_id", "req_unknown")
            await status_problem(status, detail, request_id)(scope, receive, send)

        stream = self._limits.streams.get(scope["path"])
        if await self._refused(scope, stream or self._limits, refuse):
            return
        if stream is not None:
            await self._stream(scope, receive, send, refuse, stream)
        elif (body := await self._read(receive, refuse)) is not None:
            await self._app(scope, _replay(body, receive), send)

    async def _refused(
        self, scope: Scope, limits: StreamLimits | BodyLimits, refuse: Respond
    ) -> bool:
        """Checks (1) and (2); whether one of them failed, and was answered."""
        headers = Headers(scope=scope)
        # (1) a content type that is read here
        content_type = headers.get("content-type", "").split(";", 1)[0].strip().lower()
        if not limits.reads(content_type, scope["path"]):
            await refuse(415, "bodies of this content type are not read here")
            return True
        # (2) the declared length
        if not _at_most(headers.get("content-length", "0"), limits.max_bytes):
            await refuse(413, f"the body is over {limits.max_bytes} bytes")
            return True
        return False

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, refuse: Respond, limits: StreamLimits
    ) -> None:
        try:
            await self._app(scope, _counted(receive, limits), send)
        except _TooLarge:
            await refuse(413, f"the body is over {limits.max_bytes} bytes")
        except _TooSlow:
            await refuse(408, f"the body did not come within {limits.deadline_s:g} s")

    async def _read(self, receive: Receive, refuse: Respond) -> bytes | None:
        limits = self._limits
        try:
            # (4) the deadline
            async with asyncio.timeout(limits.deadline_s):
                return await _collect(receive, limits.max_bytes)
        except _TooLarge:
            await refuse(413, f"the body is over {limits.max_bytes} bytes")
        except TimeoutError:
            await refuse(408, f"the body did not come within {limits.deadline_s:g} s")
        return None


def _counted(receive: Receive, limits: StreamLimits) -> Receive:
    """`receive`, raising once checks (3) and (4) fail."""
    until = asyncio.get_running_loop().time() + limits.deadline_s
    read = 0

    async def counted() -> Message:
        nonlocal read
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise _TooSlow from None
        read += len(message.get("body", b""))
        if read > limits.max_bytes:
            raise _TooLarge
        return message

    return counted


async def _collect(receive: Receive, max_bytes: int) -> bytes | None:
    """The whole body; None when the client went away before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        # (3) the real length
        if len(body) > max_bytes:
            raise _TooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _at_most(declared: str, maximum: int) -> bool:
    # Length first: converting a number of a thousand digits is work done for a stranger.
    return (
        len(declared) <= 12
        and declared.isascii()
        and declared.isdigit()
        and (int(declared) <= maximum)
    )


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
