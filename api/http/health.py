"""Whether the process lives, and whether it can score.

Liveness asks nothing of anybody: a process whose database is away is not helped by being killed.
Readiness asks each part, in a thread of its own, and says which one is not there.
"""

from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from protocols.errors import CredenceError

Check = Callable[[], object]


def health_routes(checks: dict[str, Check]) -> APIRouter:
    """`/healthz` and `/readyz`.

    Args:
        checks: by name; one that raises a `CredenceError` says that the node is not ready.
    """
    router = APIRouter(tags=["health"])

    @router.get("/healthz", operation_id="getHealth", summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        """Always `ok` when the process answers at all; no thread, no database, no lock."""
        return {"status": "ok"}

    @router.get(
        "/readyz",
        operation_id="getReadiness",
        summary="Can it score?",
        responses={503: {"description": "Not yet; each check says why."}},
    )
    def readyz() -> JSONResponse:
        """What each check says: `ok`, or the stable code of what is missing."""
        found = {name: _outcome(check) for name, check in checks.items()}
        ready = all(outcome == "ok" for outcome in found.values())
        return JSONResponse(
            {"status": "ok" if ready else "not_ready", "checks": found},
            status_code=200 if ready else 503,
        )

    return router


def _outcome(check: Check) -> str:
    try:
        check()
    except CredenceError as error:
        return error.code
    return "ok"
