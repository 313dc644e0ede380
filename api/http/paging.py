"""Cursors: where the next page begins, opaque to the caller."""

from collections.abc import Sequence
from typing import Annotated, Protocol

from fastapi import Query

from protocols.canonical import b64url_decode, b64url_encode
from protocols.errors import InvalidInput, Malformed

NEWEST = 2**62


class Numbered(Protocol):
    """A thing of a page."""

    @property
    def seq(self) -> int:
        """Its number; a newer thing has a higher one."""


Cursor = Annotated[
    str | None,
    Query(max_length=64, description="`next_cursor` of the page before; none: the first page."),
]
Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]


def before(cursor: str | None) -> int:
    """The number that a page of things with falling numbers begins below.

    Raises:
        InvalidInput: it is no cursor of ours.
    """
    if cursor is None:
        return NEWEST
    try:
        text = b64url_decode(cursor).decode("ascii")
    except (Malformed, UnicodeDecodeError) as error:
        raise InvalidInput("this is no cursor") from error
    if not text.startswith("<") or not text[1:].isdigit() or len(text) > 19:
        raise InvalidInput("this is no cursor")
    return int(text[1:])


def next_cursor(found: Sequence[Numbered], limit: int) -> str | None:
    """The cursor after a page; None: it was not full, so there is no more."""
    return b64url_encode(f"<{found[-1].seq}".encode()) if len(found) == limit else None
