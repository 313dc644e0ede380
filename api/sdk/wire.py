"""What the core says to a transport and hears from it: plain values, no sockets and no clock."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request to be sent.

    Attributes:
        path: from the root of the node's API, with its query.
        headers: names in any case.
        body: bytes, empty for none.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came back: no connection, or it broke.

    Attributes:
        reason: the class of the failure; never what was sent.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait before going on."""

    seconds: float


Steps = Generator[HttpRequest | Pause, HttpAnswer | NoAnswer | None, Result]
"""A call as the core makes it: asks for requests and pauses, is sent answers, returns a result."""


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One operation of the API with its arguments, to be made by any transport.

    Attributes:
        operation: operationId in the OpenAPI document.
        method: of HTTP.
        template: path as the OpenAPI document has it.
        read: makes the result of a successful answer.
        path: values of the template's places.
        query: names and values; None is left out.
        body: bytes to send, with their content type; None: no body.
        content_type: of the body.
        idempotency_key: sent with the call, so that it may be repeated.
        repeatable: whether sending it twice does no more than once (true of every call that has
            an idempotency key, too).
        public: whether it needs no token.
    """

    operation: str
    method: str
    template: str
    read: Callable[[HttpAnswer], Result]
    path: Mapping[str, str | int] = field(default_factory=dict)
    query: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    idempotency_key: str | None = None
    repeatable: bool = True
    public: bool = False
