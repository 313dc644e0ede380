"""`Idempotency-Key` on calls that change something (plain ASGI), for the rules K1 to K5.

Scores keep their own keys: what they answered ends with a consent, and is not kept here. The client
is recognised here, before its key means anything, and the routes are told who it is.
"""

import json
import re
from collections.abc import Sequence

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.access import recognise
from api.http.problems import problem
from node.access.clients import Clients
from node.access.idempotency import Answered, KeyedCalls
from protocols.canonical import sha256
from protocols.errors import CredenceError, InvalidInput

HEADER = "idempotency-key"
REPLAYED = "Idempotency-Replayed"
PREFIX = "/v1/"
OWN_KEYS = ("/v1/scores", "/v1/score-requests", "/v1/batches")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEPT_HEADERS = frozenset({b"content-type", b"location"})


class KeyedPosts:
    """Middleware that answers a repeated POST as the first."""

    def __init__(
        self,
        app: ASGIApp,
        clients: Clients,
        calls: KeyedCalls,
        own_keys: Sequence[str] = OWN_KEYS,
    ) -> None:
        """Remember in `calls`; paths that begin with one of `own_keys` are left alone."""
        self._app = app
        self._clients = clients
        self._calls = calls
        self._own_keys = tuple(own_keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if not self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        try:
            key = _key(Headers(scope=scope))
            client = recognise(self._clients, scope)
            body = await _body(receive)
            asked = sha256(b"\n".join((scope["raw_path"], scope["query_string"], body)))
            kept = await run_sync(self._calls.begin, client.client_id, key, asked)
        except CredenceError as error:
            request_id = scope["state"].get("request_id", "req_unknown")
            await problem(error, request_id)(scope, receive, send)
            return
        if kept is not None:
            await _replay(kept, send)
            return
        await self._act(scope, body, send, client.client_id, key)

    def _is_ours(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != "POST":
            return False
        path, headers = scope["path"], Headers(scope=scope)
        if not path.startswith(PREFIX) or path.startswith(self._own_keys):
            return False
        kind = headers.get("content-type", "application/json").split(";")[0].strip().lower()
        return HEADER in headers and kind == "application/json"

    async def _act(self, scope: Scope, body: bytes, send: Send, client_id: str, key: str) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        try:
            await self._app(scope, _once(body), keep)
        except BaseException:
            self._calls.lose(client_id, key)  # K5
            raise
        status = next(one["status"] for one in messages if one["type"] == "http.response.start")
        if 200 <= status < 300:
            await run_sync(self._calls.end, client_id, key, _answered(messages))  # K3
        elif status >= 500 and status != 503:
            self._calls.lose(client_id, key)  # K5
        else:
            await run_sync(self._calls.release, client_id, key)  # K4
        for message in messages:
            await send(message)


def _key(headers: Headers) -> str:
    values = headers.getlist(HEADER)
    if len(values) != 1 or _KEY.fullmatch(values[0]) is None:
        raise InvalidInput("an idempotency key is 1 to 64 letters, digits, - and _, once")
    return values[0]


async def _body(receive: Receive) -> bytes:
    # `api.http.limits` has read it, within its limits.
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _once(body: bytes) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return pending.pop() if pending else {"type": "http.disconnect"}

    return receive


def _answered(messages: Sequence[Message]) -> Answered:
    start = next(one for one in messages if one["type"] == "http.response.start")
    headers = [
        [name.decode("latin-1"), value.decode("latin-1")]
        for name, value in start["headers"]
        if name.lower() in _KEPT_HEADERS
    ]
    body = b"".join(one.get("body", b"") for one in messages if one["type"] != start["type"])
    return Answered(start["status"], json.dumps(headers), body)


async def _replay(kept: Answered, send: Send) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in json.loads(kept.headers)
    ]
    headers += [
        (b"content-length", str(len(kept.body)).encode()),
        (REPLAYED.lower().encode(), b"true"),
    ]
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body})
