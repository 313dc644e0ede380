"""Reads urlencoded forms: bounded before they are parsed, every field bounded when it is read.

Numbered:

1. the body is not above the cap;
2. it is `application/x-www-form-urlencoded` in UTF-8 with at most `MAX_FIELDS` fields;
3. a field is there once (or is asked for as a list), is within its length and holds no control
   character but line breaks and tabs.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from protocols.errors import InvalidInput, Malformed

MAX_BYTES = 32 * 1024
MAX_FIELDS = 200
MEDIA_TYPE = "application/x-www-form-urlencoded"


class FieldInvalid(InvalidInput):
    """A field of a form is missing, too long or holds what it may not."""

    code = "form_field_invalid"
    next_step = "Go back, correct the field and send the form again."


class Form:
    """The fields of one form as they were sent."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def names(self) -> tuple[str, ...]:
        """The names of the fields, in the order of their first appearance."""
        return tuple(self._fields)

    def text(self, name: str, *, max_length: int = 200, default: str | None = None) -> str:
        """One field, trimmed.

        Raises:
            FieldInvalid: check 3, or it is missing and has no default.
        """
        values = self._fields.get(name, ())
        if not values and default is not None:
            return default
        if len(values) != 1:
            raise FieldInvalid(f"the field {name} has to be there once")
        return _checked(name, values[0], max_length)

    def many(self, name: str, *, max_length: int = 200) -> tuple[str, ...]:
        """All values of a field, in the order of the form; none is fine.

        Raises:
            FieldInvalid: check 3.
        """
        return tuple(_checked(name, one, max_length) for one in self._fields.get(name, ()))

    @property
    def csrf(self) -> str:
        """The token of the page that the form stood on; empty when it has none."""
        return self.text("csrf", default="")


async def read_form(request: Request, max_bytes: int = MAX_BYTES) -> Form:
    """The form of a request.

    Raises:
        Malformed: check 1 or 2.
    """
    body = await request.body()
    if len(body) > max_bytes:  # 1
        raise Malformed(f"a form has at most {max_bytes} bytes")
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if body and kind != MEDIA_TYPE:  # 2
        raise Malformed("this is not a form")
    return parse_form(body)


def parse_form(body: bytes) -> Form:
    """The form that a body holds.

    Raises:
        Malformed: check 2.
    """
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise Malformed("the form does not parse") from None
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return Form(fields)


async def _small_form(request: Request) -> Form:
    return await read_form(request)


SentForm = Annotated[Form, Depends(_small_form)]
"""A route's parameter of this type is the form it was sent."""


def _checked(name: str, value: str, max_length: int) -> str:
    text = value.replace("\r\n", "\n").strip()
    if len(text) > max_length:  # 3
        raise FieldInvalid(f"the field {name} has at most {max_length} characters")
    if any(not (char.isprintable() or char in "\n\t") for char in text):
        raise FieldInvalid(f"the field {name} holds a character that cannot be shown")
    return text
