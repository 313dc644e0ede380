"""The metadata in which every call tells which directory version its caller holds.

A hint only: what is fetched because of it is believed by its signature.
"""

from collections.abc import Iterable
from typing import Any, Final

VERSION_KEY: Final = "credence-directory"

_MAX_DIGITS: Final = 15


def version_in(metadata: Iterable[tuple[str, Any]] | None) -> int:
    """The version that a call's metadata names; 0 when it names none that can be one."""
    for key, value in metadata or ():
        if key == VERSION_KEY:
            good = isinstance(value, str) and value.isascii() and value.isdecimal()
            return int(value) if good and len(value) <= _MAX_DIGITS else 0
    return 0
