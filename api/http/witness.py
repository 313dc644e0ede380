"""The HTTP face of a witness outside the network: C2SP tlog-witness, and two calls of ours.

Nobody signs in: what is posted proves itself, by the log's signature or the directory key's.
"""

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from api.http import problems
from api.http.limits import BodyLimits, LimitedBodies
from api.http.requests import RequestContext
from audit.witness_home import MAX_DIRECTORY_BYTES, WitnessHome
from audit.witness_request import MAX_REQUEST_BYTES
from protocols.errors import Malformed

SIZE_TYPE = "text/x.tlog.size"
CONFLICT = 409
_TYPES = frozenset({"", "text/plain", "application/octet-stream", "application/json"})


def witness_app(home: WitnessHome) -> FastAPI:
    """The application of one witness."""
    app = FastAPI(title="Credence witness", docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.include_router(_routes(home))
    app.add_middleware(
        LimitedBodies,
        limits=BodyLimits(max_bytes=MAX_DIRECTORY_BYTES, content_types=_TYPES, form_paths=()),
    )
    app.add_middleware(RequestContext)
    return app


def _routes(home: WitnessHome) -> APIRouter:
    router = APIRouter()

    @router.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        """Cosign a head; statuses and bodies as C2SP gives them."""
        body = await request.body()
        if len(body) > MAX_REQUEST_BYTES:
            return PlainTextResponse("", 413)
        answer = await run_in_threadpool(home.answer, body)
        kind = SIZE_TYPE if answer.status == CONFLICT else "text/plain; charset=utf-8"
        return Response(answer.body, answer.status, media_type=kind)

    @router.get("/latest")
    def latest(origin: str = Query(min_length=1, max_length=160)) -> JSONResponse:
        """What is held of a log, the newest note of each epoch."""
        return JSONResponse([note.decode() for note in home.latest(origin)])

    @router.post("/directory")
    async def directory(request: Request) -> JSONResponse:
        """Take the signed member directory."""
        body = await request.body()
        if not body:
            raise Malformed("a directory file is expected")
        return JSONResponse({"version": await run_in_threadpool(home.take_directory, body)})

    @router.get("/healthz")
    def healthz() -> dict[str, str]:
        """The key to configure, and that it lives."""
        return {"status": "ok", "key": home.key.encode()}

    return router
