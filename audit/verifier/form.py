"""What the files that a reader checks are made of: JSON, texts and hashes.

How long each kind of file may be is for its own module to check first.
"""

import json
from typing import Any

from protocols.errors import Malformed


def read_json(data: bytes, what: str) -> Any:
    """The value that a file or a line holds.

    Args:
        data: its bytes.
        what: it is called in an error.

    Raises:
        Malformed: it is not JSON, or too deep.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed(f"{what} is not JSON") from None


def read_object(data: bytes, what: str) -> dict[str, Any]:
    """As `read_json`, of an object.

    Raises:
        Malformed: it is not JSON, or something else than an object.
    """
    found = read_json(data, what)
    if not isinstance(found, dict):
        raise Malformed(f"{what} is no JSON object")
    return found


def is_text(value: object) -> bool:
    """Whether it is a text with a UTF-8 form: JSON may hold half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def unhex(value: object) -> bytes:
    """A hash of 64 hex digits.

    Raises:
        Malformed: another form.
    """
    if not isinstance(value, str) or len(value) != 64:
        raise Malformed("a hash has 64 hex digits")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise Malformed("a hash has 64 hex digits") from None
