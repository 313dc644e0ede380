"""How an error travels over gRPC.

At a server a `CredenceError` becomes a status by its category; its code stands in the trailing
metadata `credence-code`. At the caller the code becomes the same class again. An error that passes
with time says in `retry-after-ms` how long to wait. What is not a `CredenceError` travels as
`internal`, without its text, which may quote data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

import grpc
import structlog

from protocols.errors import Category, CredenceError, Unavailable, error_classes

CODE_KEY = "credence-code"
RETRY_KEY = "retry-after-ms"
MAX_RETRY_AFTER_MS = 60_000  # a peer cannot make us wait longer
_TOO_MANY = "Concurrent RPC limit"  # how gRPC begins the text of its own refusal
MAX_DETAILS = 300

STATUS: dict[Category, grpc.StatusCode] = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "forbidden": grpc.StatusCode.PERMISSION_DENIED,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "conflict": grpc.StatusCode.FAILED_PRECONDITION,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "internal": grpc.StatusCode.INTERNAL,
}

log = structlog.get_logger("node.rpc")


class PeerUnreachable(Unavailable):
    """Another member or the coordinator does not answer, or TLS with it fails."""

    code = "peer_unreachable"
    next_step = "Check that it runs, that its endpoint is right and both certificates are valid."


class PeerTooSlow(Unavailable):
    """Another member or the coordinator did not answer before the deadline."""

    code = "deadline_exceeded"
    next_step = "Try again, or allow more time."


class MessageRefused(CredenceError):
    """A message is larger than the receiver takes, or the receiver has no room for more calls."""

    code = "message_refused"
    category = "invalid"
    next_step = "Send fewer subjects a request and fewer requests at once."


class Overloaded(Unavailable):
    """A peer has no room for this now, and says when to come back.

    Attributes:
        retry_after_ms: how long to wait before the same bytes are sent again; 0: not said.
    """

    code = "overloaded"
    next_step = "Wait, then send the same request again."
    retry_after_ms: int = 0


class TooManyRequests(Overloaded):
    """The member has as many calls under way as one member may, or the server as all may."""

    code = "too_many_requests"
    next_step = "Wait for the calls under way; ask for many subjects in one stream instead."
    retry_after_ms: int = 100


class PeerFailed(CredenceError):
    """A peer answered with an error that this version does not know."""

    code = "peer_failed"
    category = "unavailable"
    next_step = "Look in the peer's log; perhaps it runs a newer version."


# Statuses that gRPC itself gives, without a code of ours.
_BY_STATUS: dict[grpc.StatusCode, tuple[type[CredenceError], str]] = {
    grpc.StatusCode.UNAVAILABLE: (PeerUnreachable, "cannot be reached"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (PeerTooSlow, "did not answer in time"),
    grpc.StatusCode.CANCELLED: (PeerTooSlow, "did not answer in time"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (MessageRefused, "has no room for the message or the call"),
}


@contextmanager
def errors_as_status(context: grpc.ServicerContext, method: str) -> Iterator[None]:
    """Around a handler: what it raises becomes the call's status, and is logged once."""
    try:
        yield
    except CredenceError as error:
        _abort(context, refusal(error, method))
    except grpc.RpcError:
        raise  # the caller went away while we read its stream
    except Exception as error:
        if context.code() is not None or not context.is_active():  # type: ignore[attr-defined]
            raise  # aborted on purpose, or the caller is gone
        _abort(context, refusal(error, method))


class Refused(NamedTuple):
    """What a failed call is told: its status, a text, and trailing metadata."""

    status: grpc.StatusCode
    details: str
    metadata: tuple[tuple[str, str], ...]


def refusal(error: Exception, method: str) -> Refused:
    """What `error` becomes on the wire; logs it."""
    if isinstance(error, CredenceError):
        log.info("rpc.refused", method=method, code=error.code)
    else:
        # The exception's text may quote data; its type and place do not.
        log.error("rpc.failed", method=method, error=type(error).__name__, at=_place(error))
        error = CredenceError("the request failed inside the node")
    told = [(CODE_KEY, error.code)]
    if isinstance(error, Overloaded) and error.retry_after_ms:
        told.append((RETRY_KEY, str(error.retry_after_ms)))
    return Refused(STATUS[error.category], error.message[:MAX_DETAILS], tuple(told))


def _abort(context: grpc.ServicerContext, refused: Refused) -> NoReturn:
    context.set_trailing_metadata(refused.metadata)
    context.abort(refused.status, refused.details)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


@contextmanager
def remote_errors(peer: str) -> Iterator[None]:
    """Turn gRPC errors of calls to `peer` into the error family.

    Raises:
        CredenceError: the class of the peer's `credence-code` when known here; else
            `PeerUnreachable`, `PeerTooSlow`, `MessageRefused` or `PeerFailed`.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise error_from_rpc(error, peer) from error


def error_from_rpc(error: grpc.RpcError, peer: str) -> CredenceError:
    """The error that `error` stands for; the peer's text is cut and made printable."""
    call: object = error
    if not isinstance(call, grpc.Call):
        return PeerFailed(f"{peer} failed")
    text = _printable(call.details() or "", MAX_DETAILS)
    code = _code_of(call)
    if code is not None:
        cls = error_classes().get(code, CredenceError)
        # Its own failure is not ours, and some classes make their own message.
        if cls is CredenceError or cls.__init__ is not CredenceError.__init__:
            return PeerFailed(f"{peer}: {_printable(code, 64)}: {text}")
        made = cls(f"{peer}: {text}")
        if isinstance(made, Overloaded):
            made.retry_after_ms = _retry_after_ms(call)
        return made
    status = call.code()
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED and text.startswith(_TOO_MANY):
        return TooManyRequests(f"{peer} has too many calls under way")
    cls, what = _BY_STATUS.get(status, (PeerFailed, f"failed: {status.name}"))
    return cls(f"{peer} {what}")


def _code_of(call: grpc.Call) -> str | None:
    for key, value in call.trailing_metadata() or ():
        if key == CODE_KEY and isinstance(value, str):
            return value
    return None


def _retry_after_ms(call: grpc.Call) -> int:
    for key, value in call.trailing_metadata() or ():
        if key == RETRY_KEY and isinstance(value, str) and value.isascii() and value.isdigit():
            return min(int(value[:9]), MAX_RETRY_AFTER_MS)
    return 0


def _printable(text: str, length: int) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:length])
