"""A shorter way to `POST /v1/scores`, for the calls that are as they should be.

Most of what a framework does for a request, matching routes, solving dependencies, wrapping the
answer, costs more than a score. A call whose body and headers are right goes straight from the
limits to the handler of the route; every other one goes on to the framework, which finds out what
is wrong with it. So there is one handler and one place where errors are worded, and what is
refused here is refused there: a test asks both ways and compares.
"""

from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.access import presented
from api.http.problems import credence_problem
from api.http.score_models import ScoreRequestBody
from api.http.scores import MAX_KEY, ScoreHandler
from protocols.errors import CredenceError


class QuickScores:
    """Middleware; innermost, so that everything before the routes has been applied."""

    def __init__(self, app: ASGIApp, route: APIRoute, handler: ScoreHandler) -> None:
        """Take calls of `route` to `handler`, which is what it calls too."""
        self._app = app
        self._route = route
        self._path = route.path
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        keys = [value for name, value in scope["headers"] if name == b"idempotency-key"]
        body, rest = await _whole(receive)
        asked = None if rest or not _fits(keys) else _parsed(body)
        if asked is None:
            await self._app(scope, _again(body, rest, receive), send)
            return
        scope["route"] = self._route
        key = keys[0].decode("latin-1") if keys else None
        try:
            scored = await self._handler(asked, presented(scope), key)
        except CredenceError as error:
            await credence_problem(error, scope)(scope, receive, send)
            return
        content = scored.body.encode()
        headers = [
            (b"location", f"{self._path}/{scored.score_id}".encode()),
            (b"content-length", str(len(content)).encode()),
            (b"content-type", b"application/json"),
        ]
        status = 200 if scored.repeated else 201
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def _whole(receive: Receive) -> tuple[bytes, bool]:
    """The body, which `api.http.limits` hands on in one piece, and whether there is more."""
    message = await receive()
    return message.get("body", b""), message.get("more_body", False)


def _fits(keys: list[bytes]) -> bool:
    return not keys or (len(keys) == 1 and len(keys[0]) <= MAX_KEY)


def _parsed(body: bytes) -> ScoreRequestBody | None:
    try:
        return ScoreRequestBody.model_validate_json(body)
    except ValidationError:
        return None


def _again(body: bytes, rest: bool, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": rest}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again
