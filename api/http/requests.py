"""Gives each request an id, an access-log line, safe headers and a last net for failures."""

import secrets
import time
from traceback import extract_tb

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import internal_problem

_log = structlog.get_logger(__name__)
_SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class RequestContext:
    """Outermost ASGI middleware of the HTTP API.

    The log line holds the route's template, never the path as sent: an identifier in a path is
    nobody's business. An exception that nothing caught is logged by its class and answered with
    a bare problem document.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(8)}"
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.update(scope["state"].get("headers", {}))
                for name, value in _SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, tagged)
        except Exception as error:
            # Class and places only: a message may quote what a database was asked to store.
            places = [f"{frame.name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
            _log.error(
                "http.failed", request_id=request_id, error=type(error).__name__, at=places[-6:]
            )
            if status:
                raise  # half an answer is out: only cutting the connection is honest
            await internal_problem(request_id)(scope, receive, tagged)
        _log.info(
            "http.request",
            request_id=request_id,
            method=scope["method"],
            route=getattr(scope.get("route"), "path", "-"),
            status=status,
            ms=round((time.perf_counter() - began) * 1000, 2),
        )
