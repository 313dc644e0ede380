"""Grammar of the names that travel: one place, so that no two parsers differ.

A name that passes here is safe in a path, a log line, a DNS label and a URI.
"""

import re
import secrets

from protocols.errors import InvalidInput

ROLES = (
    "bank",
    "data_provider",
    "public_record_publisher",
    "licensed_agency",
    "platform_operator",
    "regulator",
)
PURPOSES = ("score", "train", "monitor")

_MEMBER_ID = re.compile(r"[a-z][a-z0-9-]{1,40}")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RECORD_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_ENDPOINT = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def is_member_id(text: str) -> bool:
    """Whether `text` is a member id: a lower-case letter, then 1 to 40 of `a-z 0-9 -`."""
    return _MEMBER_ID.fullmatch(text) is not None


def is_field_name(text: str) -> bool:
    """Whether `text` names a signal or a source class: lower snake case, up to 64 characters."""
    return _FIELD_NAME.fullmatch(text) is not None


def is_record_id(text: str) -> bool:
    """Whether `text` can name a request, an invitation or a delivery: 1 to 40 URL-safe."""
    return _RECORD_ID.fullmatch(text) is not None


def is_endpoint(text: str) -> bool:
    """Whether `text` is `host:port` or `[ipv6]:port` with a port of 1 to 65535."""
    match = _ENDPOINT.fullmatch(text)
    return match is not None and 1 <= int(match[1]) <= 65535


def check_member_id(text: str) -> str:
    """Return `text` when it is a member id.

    Raises:
        InvalidInput: it is not.
    """
    if not is_member_id(text):
        raise InvalidInput(
            "a member id is a lower-case letter followed by 1 to 40 letters, digits or hyphens",
        )
    return text


def check_role(text: str) -> str:
    """Return `text` when it is one of `ROLES`.

    Raises:
        InvalidInput: it is not.
    """
    if text not in ROLES:
        raise InvalidInput(f"a role is one of {', '.join(ROLES)}")
    return text


def base32_lower(data: bytes) -> str:
    """RFC 4648 base32 of `data`, lower case, without padding."""
    characters = -(-len(data) * 8 // 5)
    number = int.from_bytes(data, "big") << (characters * 5 - len(data) * 8)
    return "".join(_BASE32[number >> shift & 31] for shift in range((characters - 1) * 5, -1, -5))


def new_id(prefix: str) -> str:
    """A fresh random identifier, `<prefix>_` and 26 base32 characters (128 random bits)."""
    return f"{prefix}_{base32_lower(secrets.token_bytes(16))}"


def new_ordered_id(prefix: str, at_ms: int) -> str:
    """A fresh identifier that sorts by time, `<prefix>_` and 32 hex digits.

    48 bits of UTC milliseconds and 80 random ones, as version 7 of RFC 9562 orders them: rows that
    are stored one after the other lie beside each other in an index, and a database that holds
    millions writes few pages of it. It tells whoever sees it when it was made.
    """
    return f"{prefix}_{at_ms:012x}{secrets.token_hex(10)}"
