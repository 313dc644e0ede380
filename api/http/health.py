"""Whether the process lives, and whether it can score."""

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
    def healthz() -> dict[str, str]:
        """Always `ok` when the process answers at all."""
        return {"status": "ok"}

    @router.get(
        "/readyz",
        operation_id="getReadiness",
        summary="Can it score?",
        responses={503: {"description": "Not yet; each check says why."}},
    )
    def readyz() -> JSONResponse:
        """Whether the database, the directory and a model are there."""
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
