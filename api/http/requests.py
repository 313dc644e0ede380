"""Gives each request an id, an access-log line, its counts, safe headers and a last net."""

import secrets
import time
from traceback import extract_tb

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problems import internal_problem
from node.telemetry.measures import Measure
from node.telemetry.telemetry import Telemetry

_log = structlog.get_logger(__name__)
_SAFE_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestContext:
    """Outermost ASGI middleware of the HTTP API.

    The log line holds the route's template, never the path as sent: an identifier in a path is
    nobody's business. An exception that nothing caught is logged by its class and answered with
    a bare problem document.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry | None = None) -> None:
        self._app = app
        self._telemetry = telemetry or Telemetry()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(8)}"
        scope.setdefault("state", {})["request_id"] = request_id
        tagged = _Tagged(scope, send, request_id)
        began = time.perf_counter()
        with self._telemetry.tracer.span("http.request") as note:
            await self._serve(scope, receive, tagged, request_id)
            taken = time.perf_counter() - began
            method, route, status = _told(scope), _route(scope), tagged.status
            note("http.request.method", method)
            note("http.route", route)
            note("http.response.status_code", status)
        measures = self._telemetry.measures
        measures.count(Measure.REQUESTS, method, route, str(status))
        measures.observe(Measure.REQUEST_SECONDS, taken, route)
        _log.info(
            "http.request",
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            ms=round(taken * 1000, 2),
        )

    async def _serve(
        self, scope: Scope, receive: Receive, tagged: "_Tagged", request_id: str
    ) -> None:
        try:
            await self._app(scope, receive, tagged)
        except Exception as error:
            # Class and places only: a message may quote what a database was asked to store.
            places = [f"{frame.name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
            _log.error(
                "http.failed", request_id=request_id, error=type(error).__name__, at=places[-6:]
            )
            if tagged.status:
                raise  # half an answer is out: only cutting the connection is honest
            await internal_problem(request_id)(scope, receive, tagged)


class _Tagged:
    """Sends on, with the request's id and safe headers; remembers the status.

    Headers that a part of the API wants on every answer, whatever that is, stand in the request's
    state under `headers`.
    """

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._state = scope["state"]
        self._send = send
        self._id = request_id.encode()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            given = {name for name, _ in headers}
            headers.append((b"x-request-id", self._id))
            for name, value in self._state.get("headers", {}).items():
                headers.append((name.lower().encode(), value.encode()))
            headers += [one for one in _SAFE_HEADERS if one[0] not in given]
            message["headers"] = headers
        await self._send(message)


def _told(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "other"


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "-")
