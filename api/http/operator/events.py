"""`/operator/events`: the stream that tells an open page what has changed."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.http.operator.room import Room
from api.http.operator.session import PREFIX
from api.http.web.headers import PAGE_HEADERS
from protocols.errors import CredenceError

_MAX_ID = 40


class NotSignedIn(CredenceError):
    """The console's events are for whoever is signed in to it."""

    code = "console_not_signed_in"
    category = "unauthenticated"
    next_step = "Open the console with `credence coordinator console HOME`."


def event_routes(room: Room) -> APIRouter:
    """The stream; its errors are problem documents, which end a browser's attempts."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)

    @router.get("/events")
    async def events(request: Request) -> Response:
        """What changes from `Last-Event-ID` on, or from `since`, the state the page shows."""
        session = await run_in_threadpool(room.sessions.find, request)
        if session is None:
            raise NotSignedIn("nobody is signed in here")
        known = request.headers.get("last-event-id") or request.query_params.get("since", "")
        stream = room.live.open(
            session.row.session_id,
            known[:_MAX_ID],
            lambda: room.sessions.find(request) is not None,
        )
        headers = {**PAGE_HEADERS, "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    return router
