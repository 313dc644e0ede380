"""What a call may fail with: one class a kind of failure, the server's code on each.

The server's problem document (RFC 9457) becomes the class its code asks for, else that of its
status. `code` is the stable word to decide on; `next_step` says what to do; `request_id` is what to
name to the node's operator.
"""

import json
from typing import Any, ClassVar

from protocols.errors import Category, CredenceError

MAX_TEXT = 500


class SdkError(CredenceError):
    """A call of the SDK failed."""

    code = "sdk_error"
    category: ClassVar[Category] = "unavailable"
    next_step = "Read the code and the detail."


class Unreachable(SdkError):
    """The node's API did not answer, however often it was asked."""

    code = "sdk_unreachable"
    retryable = True
    next_step = "Check the address, and that the node runs; then call again."


class AnswerMalformed(SdkError):
    """What answered is not a node's API of a version that this SDK reads."""

    code = "sdk_answer_malformed"
    next_step = "Check the address; a newer node may need a newer SDK."


class RequestEnded(SdkError):
    """A score request came to no score, or not in time."""

    code = "sdk_request_ended"
    next_step = "Read how the request stands; its error says why."


class WebhookInvalid(SdkError):
    """A webhook is not from the node, was altered, or is too old."""

    code = "webhook_invalid"
    category: ClassVar[Category] = "unauthenticated"
    next_step = "Answer it with 400 and do nothing; check the endpoint's public key and your clock."


class ApiError(SdkError):
    """The node refused the call.

    Attributes:
        status: of HTTP.
        problem: the code of the problem document, such as `consent_withdrawn`.
        request_id: names the call in the node's log.
        may_retry: whether the same call may succeed later without a change.
        retry_after_s: how long the node asks to wait; None: it does not say.
    """

    code = "api_error"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        problem: str,
        request_id: str = "",
        next_step: str | None = None,
        may_retry: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.status = status
        self.problem = problem
        self.request_id = request_id
        self.may_retry = may_retry
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        named = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.problem}: {self.message}{named}"


class RequestInvalid(ApiError):
    """A field, a header or the body of the call is not what it must be (400, 413, 415, 422)."""

    code = "api_request_invalid"
    category: ClassVar[Category] = "invalid"


class NotAuthenticated(ApiError):
    """The client's key, assertion, proof or token was refused (401)."""

    code = "api_not_authenticated"
    category: ClassVar[Category] = "unauthenticated"


class NotAllowed(ApiError):
    """The client may not do this (403)."""

    code = "api_not_allowed"
    category: ClassVar[Category] = "forbidden"


class ConsentRefused(NotAllowed):
    """The consent does not allow it: withdrawn, paused, expired, used up, of other terms."""

    code = "api_consent_refused"


class SubjectFrozen(NotAllowed):
    """The subject has frozen their data: nobody is answered."""

    code = "api_subject_frozen"


class Missing(ApiError):
    """There is no such thing, or not for this client (404)."""

    code = "api_missing"
    category: ClassVar[Category] = "not_found"


class Conflicting(ApiError):
    """The state of things does not allow it (409)."""

    code = "api_conflict"
    category: ClassVar[Category] = "conflict"


class IdempotencyConflict(Conflicting):
    """The idempotency key stands for another call (422), or for one still under way (409)."""

    code = "api_idempotency_conflict"


class RateLimited(ApiError):
    """Too many calls (429); `retry_after_s` says when to go on."""

    code = "api_rate_limited"
    retryable = True


class NodeUnavailable(ApiError):
    """The node cannot answer now (5xx)."""

    code = "api_node_unavailable"
    retryable = True


_BY_STATUS: dict[int, type[ApiError]] = {
    400: RequestInvalid, 401: NotAuthenticated, 403: NotAllowed, 404: Missing, 405: RequestInvalid,
    409: Conflicting, 410: Missing, 413: RequestInvalid, 415: RequestInvalid, 422: RequestInvalid,
    429: RateLimited,
}  # fmt: skip
_BY_PREFIX: tuple[tuple[str, type[ApiError]], ...] = (
    ("idempotency_key_", IdempotencyConflict),
    ("subject_frozen", SubjectFrozen),
)
CONSENT_CODES = frozenset({
    "holder_not_named", "purpose_not_granted", "recipient_not_named", "requester_not_active",
    "status_stale", "subject_mismatch", "uses_exhausted",
})  # fmt: skip
"""Refusals of a consent whose code does not begin with `consent_`."""


def error_of(status: int, headers: Any, body: bytes) -> ApiError:
    """The error that an answer of `status` 400 or more stands for."""
    fields = _problem(body)
    problem = str(fields.get("code") or fields.get("error") or f"http_{status}")[:MAX_TEXT]
    detail = fields.get("detail") or fields.get("error_description") or f"HTTP status {status}"
    next_step = fields.get("next_step")
    return _class_of(status, problem)(
        str(detail)[:MAX_TEXT],
        status=status,
        problem=problem,
        request_id=str(fields.get("request_id") or headers.get("x-request-id", ""))[:MAX_TEXT],
        next_step=str(next_step)[:MAX_TEXT] if next_step else None,
        may_retry=fields.get("retryable") is True or status in {408, 429, 502, 503, 504},
        retry_after_s=_seconds(headers.get("retry-after", "")),
    )


def _class_of(status: int, problem: str) -> type[ApiError]:
    for prefix, found in _BY_PREFIX:
        if problem.startswith(prefix):
            return found
    if status == 403 and (problem.startswith("consent_") or problem in CONSENT_CODES):
        return ConsentRefused
    return _BY_STATUS.get(status, NodeUnavailable if status >= 500 else ApiError)


def _problem(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
