"""Strict reading of a JSON object from outside, field by field.

What a document means must not depend on who reads it, so a reader names every field it knows:
a missing field, one of another type or out of its bounds, and any field nobody asked for is
`Malformed`. Errors name the field, never its value: an artefact speaks about a person.
"""

import re
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any

from protocols.errors import Malformed
from protocols.identifiers import is_member_id

WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")
CONSENT_ID = re.compile(r"con_[a-z2-7]{26}")
HEX_32 = re.compile(r"[0-9a-f]{64}")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")
DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,2})(?:\.[0-9]{0,8}[1-9])?")

# 2200-01-01: a time past it is a mistake in units, not a date.
MAX_TIME_MS = 7_258_118_400_000


class Fields:
    """One JSON object, read once; `end()` refuses what was not read."""

    def __init__(self, value: Any, what: str) -> None:
        """Read `value`, which errors call `what`.

        Raises:
            Malformed: it is not an object.
        """
        if not isinstance(value, Mapping):
            raise Malformed(f"{what} is not a JSON object")
        self._left = dict(value)
        self._what = what

    def text(self, name: str, pattern: re.Pattern[str]) -> str:
        """A string that `pattern` matches in full."""
        value = self._take(name)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise self._bad(name)
        return value

    def prose(self, name: str, least: int, most: int) -> str:
        """A string for people: `least` to `most` characters, none of them a control character."""
        value = self._take(name)
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise self._bad(name)
        if not value.isprintable():
            raise self._bad(name)
        return value

    def string(self, name: str, most: int) -> str:
        """Any string of up to `most` characters; the caller judges what stands in it."""
        value = self._take(name)
        if not isinstance(value, str) or len(value) > most:
            raise self._bad(name)
        return value

    def constant(self, name: str, expected: str | int) -> None:
        """A field that has one value in this version of the format."""
        value = self._take(name)
        if type(value) is not type(expected) or value != expected:
            raise self._bad(name)

    def integer(self, name: str, least: int, most: int) -> int:
        """An integer between `least` and `most`, both included."""
        value = self._take(name)
        if type(value) is not int or not least <= value <= most:
            raise self._bad(name)
        return value

    def time_ms(self, name: str) -> int:
        """A time in UTC milliseconds."""
        return self.integer(name, 0, MAX_TIME_MS)

    def flag(self, name: str) -> bool:
        """A boolean."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._bad(name)
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str:
        """One of a closed list of words."""
        value = self._take(name)
        if not isinstance(value, str) or value not in allowed:
            raise self._bad(name)
        return value

    def octets(self, name: str, most: int) -> bytes:
        """1 to `most` bytes as lower-case hex digits."""
        value = self._take(name)
        if not isinstance(value, str) or not 2 <= len(value) <= 2 * most:
            raise self._bad(name)
        if _HEX.fullmatch(value) is None:
            raise self._bad(name)
        return bytes.fromhex(value)

    def digest(self, name: str) -> bytes:
        """32 bytes as 64 lower-case hex digits."""
        return bytes.fromhex(self.text(name, HEX_32))

    def digest_or_none(self, name: str) -> bytes | None:
        """32 bytes as hex, or null."""
        if self._left.get(name, "") is None:
            self._take(name)
            return None
        return self.digest(name)

    def member(self, name: str) -> str:
        """A member id."""
        value = self._take(name)
        if not isinstance(value, str) or not is_member_id(value):
            raise self._bad(name)
        return value

    def words(
        self, name: str, is_word: Callable[[str], bool], least: int, most: int
    ) -> tuple[str, ...]:
        """`least` to `most` strings, strictly ascending, so that one set has one encoding."""
        value = self._take(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self._bad(name)
        if not all(isinstance(item, str) and is_word(item) for item in value):
            raise self._bad(name)
        if any(left >= right for left, right in pairwise(value)):
            raise Malformed(f"{self._what}: {name} is not sorted or repeats itself")
        return tuple(value)

    def objects(self, name: str, least: int, most: int) -> list["Fields"]:
        """`least` to `most` objects."""
        value = self._take(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self._bad(name)
        return [Fields(item, f"{self._what}: {name}") for item in value]

    def objects_or_none(self, name: str, least: int, most: int) -> "list[Fields] | None":
        """`least` to `most` objects, or null."""
        if self._left.get(name, "") is None:
            self._take(name)
            return None
        return self.objects(name, least, most)

    def object(self, name: str) -> "Fields":
        """A nested object."""
        return Fields(self._take(name), f"{self._what}: {name}")

    def object_or_none(self, name: str) -> "Fields | None":
        """A nested object, or null."""
        value = self._take(name)
        return None if value is None else Fields(value, f"{self._what}: {name}")

    def digests_by_member(self, name: str, most: int) -> dict[str, bytes]:
        """An object of member id -> 32 bytes as hex, at most `most` of them."""
        value = self._take(name)
        if not isinstance(value, Mapping) or len(value) > most:
            raise self._bad(name)
        nested = Fields(value, f"{self._what}: {name}")
        if not all(map(is_member_id, value)):
            raise self._bad(name)
        return {member: nested.digest(member) for member in value}

    def require(self, holds: bool, rule: str) -> None:
        """Refuse an object whose fields, each well formed, break `rule` together."""
        if not holds:
            raise Malformed(f"{self._what}: {rule}")

    def end(self) -> None:
        """Refuse fields that nobody read."""
        if self._left:
            raise Malformed(f"{self._what} has {len(self._left)} unknown field(s)")

    def _take(self, name: str) -> Any:
        if name not in self._left:
            raise Malformed(f"{self._what}: {name} is missing")
        return self._left.pop(name)

    def _bad(self, name: str) -> Malformed:
        return Malformed(f"{self._what}: {name} is not what it must be")
