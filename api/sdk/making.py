"""What the calls are made with: bodies, idempotency keys, pages."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from api.sdk.reading import record
from api.sdk.wire import Call, HttpAnswer, Result

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page of a list; `next_cursor` leads to the next, None: this is the last."""

    items: tuple[Item, ...]
    next_cursor: str | None


def new_key() -> str:
    """A fresh idempotency key."""
    return f"sdk-{uuid.uuid4()}"


def post(
    operation: str,
    template: str,
    reads: Callable[[HttpAnswer], Result],
    body: Any,
    *,
    path: Mapping[str, str | int] | None = None,
    key: str | None = None,
) -> Call[Result]:
    """A POST with a JSON body; it may be repeated when it has a key."""
    return send("POST", operation, template, reads, body, path=path, key=key)


def send(
    method: str,
    operation: str,
    template: str,
    reads: Callable[[HttpAnswer], Result],
    body: Any,
    *,
    path: Mapping[str, str | int] | None = None,
    key: str | None = None,
) -> Call[Result]:
    """A call with a JSON body."""
    return Call(
        operation,
        method,
        template,
        reads,
        path or {},
        body=json.dumps(body).encode(),
        idempotency_key=key,
        repeatable=key is not None,
    )


def body_of(answer: HttpAnswer) -> dict[str, Any]:
    """A body that is an object.

    Raises:
        ValueError: it is none.
    """
    found = json.loads(answer.body)
    if not isinstance(found, dict):
        raise ValueError("an object")  # noqa: TRY004 - of what is read
    return found


def page(kind: type[Item], answer: HttpAnswer) -> Page[Item]:
    """A page of `kind`s."""
    cursor = body_of(answer)["next_cursor"]
    if not isinstance(cursor, str | None):
        raise ValueError("next_cursor is a text")  # noqa: TRY004 - of what is read
    return Page(listed(kind, answer), cursor)


def listed(kind: type[Item], answer: HttpAnswer) -> tuple[Item, ...]:
    """The `kind`s of a list without pages."""
    return tuple(record(kind, one) for one in body_of(answer)["data"])


def nothing(_answer: HttpAnswer) -> None:
    """Of a call whose answer has no body."""
