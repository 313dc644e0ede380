"""Problem documents (RFC 9457): the one place where an error becomes an HTTP answer.

A problem carries, beside `type`, `title`, `status` and `detail`: `code` (stable, the same word as
in logs and on the wire), `request_id`, `retryable` and `next_step`. What is not a `CredenceError`
becomes `internal` with no detail: a reader learns nothing about our insides.
"""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from protocols.errors import Category, CredenceError
from protocols.jose import ALGORITHMS

MEDIA_TYPE = "application/problem+json"

# One category, one status: an error class decides what kind of failure it is, nothing else.
STATUS: dict[Category, int] = {
    "invalid": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "internal": 500,
    "unavailable": 503,
}
# Codes with a status of their own: draft-ietf-httpapi-idempotency-key-header, 2.7; RFC 6585.
_OWN_STATUS = {"idempotency_key_reused": 422, "too_many_attempts": 429, "too_many_jobs": 429,
               "rate_limited": 429, "quota_exceeded": 429}  # fmt: skip
# Statuses of the framework and of the limits, which no category stands for.
_CODES = {404: "not_found", 405: "method_not_allowed", 408: "request_timeout",
          413: "body_too_large", 415: "content_type_unknown"}  # fmt: skip
_NEXT_STEPS = {
    404: "Check the path against /openapi.json.",
    405: "Check the method against /openapi.json.",
    408: "Send the whole body at once.",
    413: "Send less.",
    415: "Send JSON with `Content-Type: application/json`.",
}
_log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """A problem document as clients read it."""

    type: str = Field(examples=["urn:credence:problem:consent_withdrawn"])
    title: str = Field(examples=["Consent withdrawn"])
    status: int = Field(examples=[403])
    detail: str = Field(examples=["the subject withdrew this consent"])
    code: str = Field(examples=["consent_withdrawn"])
    request_id: str = Field(examples=["req_0r4kq1x2c9m5w7v8"])
    retryable: bool = Field(examples=[False])
    next_step: str = Field(examples=["Ask the subject for a new consent."])


def problem(error: CredenceError, request_id: str) -> JSONResponse:
    """`error` as an answer; an internal one keeps its detail to the log."""
    hidden = error.category == "internal"
    return _answer(
        status_of(error),
        error.code,
        "the request failed on our side" if hidden else error.message,
        request_id=request_id,
        retryable=error.retryable,
        next_step=error.next_step,
        headers=_challenge(error),
    )


def status_of(error: CredenceError) -> int:
    """The HTTP status of an error."""
    return _OWN_STATUS.get(error.code, STATUS[error.category])


def _challenge(error: CredenceError) -> dict[str, str] | None:
    oauth = getattr(error, "oauth", None)  # RFC 9449 section 7.1, RFC 6750 section 3.1
    if oauth is not None:
        return {"WWW-Authenticate": f'DPoP error="{oauth}", algs="{" ".join(ALGORITHMS)}"'}
    return {"WWW-Authenticate": "Bearer"} if error.category == "unauthenticated" else None


def status_problem(status: int, detail: str, request_id: str) -> JSONResponse:
    """A problem that only HTTP knows, such as a method that is not served."""
    return _answer(
        status,
        _CODES.get(status, "http_error"),
        detail,
        request_id=request_id,
        retryable=status == 408,
        next_step=_NEXT_STEPS.get(status, "Check the request against /openapi.json."),
    )


def internal_problem(request_id: str) -> JSONResponse:
    """The answer to a failure nobody foresaw."""
    return problem(CredenceError(""), request_id)


def install(app: FastAPI) -> None:
    """Make every error that leaves a handler of `app` a problem document."""
    app.add_exception_handler(CredenceError, _on_credence_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


def request_id_of(request: Request) -> str:
    """The id that the request was given when it came in."""
    value: str = request.scope.get("state", {}).get("request_id", "req_unknown")
    return value


def credence_problem(error: CredenceError, scope: Scope) -> JSONResponse:
    """`error` as the answer to a request; what failed on our side is logged."""
    request_id: str = scope.get("state", {}).get("request_id", "req_unknown")
    if error.category == "internal":
        _log.error("http.internal_error", request_id=request_id, code=error.code)
    return problem(error, request_id)


def _on_credence_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, CredenceError):
        raise error
    return credence_problem(error, request.scope)


def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    # The offending value stays out of the answer: it may be personal.
    first = error.errors()[0]
    # And so may the name of a field that is none of ours.
    known = first["loc"][:-1] if first["type"] == "extra_forbidden" else first["loc"]
    place = ".".join(str(part) for part in known)
    return _answer(
        422,
        "invalid_input",
        f"{place}: {first['msg']}",
        request_id=request_id_of(request),
        retryable=False,
        next_step="Correct the request and send it again.",
    )


def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return status_problem(error.status_code, str(error.detail), request_id_of(request))


def _answer(
    status: int,
    code: str,
    detail: str,
    *,
    request_id: str,
    retryable: bool,
    next_step: str,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    content: dict[str, Any] = {
        "type": f"urn:credence:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
        "retryable": retryable,
        "next_step": next_step,
    }
    return JSONResponse(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)
