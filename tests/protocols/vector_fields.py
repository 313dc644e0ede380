"""Fields of a vector as another implementer reads them."""

from collections.abc import Mapping
from typing import Any

Vector = Mapping[str, Any]


class Mismatch(Exception):
    """A field is not what today's code makes."""


def same(made: object, given: object) -> None:
    if made != given:
        raise Mismatch


def unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Mismatch from error
