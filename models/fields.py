"""Strict reading of JSON objects from outside: every field by name, type and range.

A field that nobody asked for is an error: a newer sender must raise a version, not slip in a field.
"""

import math
from collections.abc import Mapping
from typing import Any

from protocols.errors import InvalidInput


class Fields:
    """One JSON object being read; every getter takes its field out, `done` refuses leftovers.

    Args:
        value: the parsed JSON value.
        where: name used in messages.
        error: error class to raise.
    """

    def __init__(self, value: object, where: str, error: type[InvalidInput]) -> None:
        if not isinstance(value, Mapping):
            raise error(f"{where} must be an object")
        self._left: dict[str, Any] = dict(value)
        self._where = where
        self._error = error

    def has(self, name: str) -> bool:
        """Whether the field is there and was not read yet."""
        return name in self._left

    def raw(self, name: str) -> Any:
        """The field as it is."""
        try:
            return self._left.pop(name)
        except KeyError:
            raise self._fail(name, "is missing") from None

    def text(self, name: str, max_length: int) -> str:
        """A string of 1 to `max_length` characters."""
        value = self.raw(name)
        if not isinstance(value, str) or not 1 <= len(value) <= max_length:
            raise self._fail(name, f"must be text of 1 to {max_length} characters")
        return value

    def possibly_empty_text(self, name: str, max_length: int) -> str:
        """A string of 0 to `max_length` characters."""
        if self._left.get(name) == "":
            self._left.pop(name)
            return ""
        return self.text(name, max_length)

    def optional_text(self, name: str, max_length: int) -> str | None:
        """A string, or None for null."""
        if self._left.get(name, "") is None:
            self._left.pop(name)
            return None
        return self.text(name, max_length)

    def integer(self, name: str, low: int, high: int) -> int:
        """An integer in [low, high]; a float of integer value, as JSON may carry it, counts."""
        value = self.raw(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._fail(name, f"must be an integer from {low} to {high}")
        return value

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        """An integer in [low, high], or None for null."""
        if self._left.get(name, low) is None:
            self._left.pop(name)
            return None
        return self.integer(name, low, high)

    def number(
        self, name: str, low: float, high: float, *, above: bool = False, below: bool = False
    ) -> float:
        """A finite number in [low, high]; `above` / `below` leave out that end."""
        value = self._number(name, self.raw(name))
        too_low = value <= low if above else value < low
        too_high = value >= high if below else value > high
        if too_low or too_high:
            ends = ("(" if above else "[") + f"{low:g}, {high:g}" + (")" if below else "]")
            raise self._fail(name, f"must be in {ends}")
        return value

    def optional_number(self, name: str) -> float | None:
        """A finite number, or None for null."""
        value = self.raw(name)
        return None if value is None else self._number(name, value)

    def items(self, name: str, max_length: int) -> list[Any]:
        """A list of at most `max_length` items."""
        value = self.raw(name)
        if not isinstance(value, list) or len(value) > max_length:
            raise self._fail(name, f"must be a list of at most {max_length}")
        return value

    def numbers(self, name: str, max_length: int) -> list[float]:
        """A list of finite numbers."""
        return [self._number(name, item) for item in self.items(name, max_length)]

    def texts(self, name: str, max_items: int, max_length: int) -> list[str]:
        """A list of strings."""
        items = self.items(name, max_items)
        if not all(isinstance(item, str) and 1 <= len(item) <= max_length for item in items):
            raise self._fail(name, f"must hold texts of 1 to {max_length} characters")
        return items

    def done(self) -> None:
        """Refuse fields that were not read."""
        if self._left:
            raise self._error(f"{self._where} has unknown fields: {', '.join(sorted(self._left))}")

    def _number(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._fail(name, "must be a number")
        if not math.isfinite(value):
            raise self._fail(name, "must be finite")
        return float(value)

    def _fail(self, name: str, what: str) -> InvalidInput:
        return self._error(f"{self._where}: {name} {what}")
