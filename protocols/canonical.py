"""One byte string for one JSON value (RFC 8785, JCS), and a parser that trusts nobody.

A hash or a signature over JSON is only as good as the agreement on its bytes. `canonical_json`
writes them; `parse_canonical` reads them back and refuses any other spelling of the same value.
"""

import base64
import binascii
import hashlib
import json
import math
import re
from typing import Any, Final, NoReturn

import orjson
import rfc8785

from protocols.errors import Malformed

MAX_SAFE_INTEGER: Final = 2**53 - 1  # RFC 8785 section 3.2.2.3, the I-JSON range

# A string, even one left open, or one bracket. Possessive, so the scan is linear.
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def canonical_json(value: Any) -> bytes:
    """Encode a JSON value as RFC 8785 canonical bytes.

    Args:
        value: dict with string keys, list, tuple, str, int within +-(2^53 - 1), finite float,
            bool or None.

    Raises:
        Malformed: the value has no canonical form.
    """
    try:
        if _is_plain(value):
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
        return rfc8785.dumps(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed("the value has no canonical JSON form") from error


def _is_plain(value: Any) -> bool:
    """Whether the quick encoder writes JCS for `value`; it does unless floats or keys differ.

    It sorts keys by code point where JCS sorts by UTF-16 unit (equal for ASCII), and writes
    floats in a way of its own.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    if kind is dict:
        return all(type(k) is str and k.isascii() and _is_plain(v) for k, v in value.items())
    if kind is list or kind is tuple:
        return all(map(_is_plain, value))
    return False


def parse_json(data: bytes, *, max_bytes: int, max_depth: int = 16) -> Any:
    """Parse JSON from outside.

    Checks: 1. size; 2. UTF-8; 3. nesting, before any object is built; 4. JSON grammar, no
    duplicate key, no NaN or infinity, no integer outside +-(2^53 - 1); 5. no lone surrogate.

    Args:
        data: the bytes as received.
        max_bytes: largest accepted size.
        max_depth: deepest accepted nesting; a scalar has depth 0.

    Raises:
        Malformed: a check fails.
    """
    # 1. Size.
    if len(data) > max_bytes:
        raise Malformed(f"{len(data)} bytes of JSON where {max_bytes} are allowed")
    try:
        # 2. UTF-8.
        text = data.decode("utf-8")
        # 3. Nesting.
        _check_depth(text, max_depth)
        # 4. Grammar, duplicate keys, number range.
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("not the JSON that is accepted here") from error
    # 5. An escape can still smuggle in half a surrogate pair.
    if "\\u" in text:
        _check_surrogates(value)
    return value


def parse_canonical(data: bytes, *, max_bytes: int, max_depth: int = 16) -> Any:
    """Parse JSON that must be in canonical form, so that equal values have equal hashes.

    Raises:
        Malformed: not JSON within the limits, or not its RFC 8785 form.
    """
    value = parse_json(data, max_bytes=max_bytes, max_depth=max_depth)
    if canonical_json(value) != data:
        raise Malformed("the JSON is not in RFC 8785 canonical form")
    return value


def sha256(data: bytes) -> bytes:
    """SHA-256 of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()


def b64url_encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64url_decode(text: str) -> bytes:
    """Decode base64url without padding; every byte string has exactly one accepted spelling.

    Raises:
        Malformed: another alphabet, padding, or bits set past the end.
    """
    try:
        raw = text.encode("ascii")
        data = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise Malformed("not base64url") from error
    if b64url_encode(data) != text:
        raise Malformed("not base64url in its only spelling")
    return data


def _check_depth(text: str, max_depth: int) -> None:
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        mark = token[0]
        if mark in {"[", "{"}:
            depth += 1
            if depth > max_depth:
                raise Malformed(f"JSON nested deeper than {max_depth}")
        elif mark in {"]", "}"}:
            depth -= 1


def _check_surrogates(value: Any) -> None:
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise Malformed("JSON text with half a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_surrogates(key)
            _check_surrogates(item)
    elif isinstance(value, list):
        for item in value:
            _check_surrogates(item)


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("JSON object with a duplicate key")
    return found


def _safe_integer(text: str) -> int:
    number = int(text) if len(text) <= 17 else MAX_SAFE_INTEGER + 1
    if not -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER:
        raise Malformed("JSON integer outside the safe range")
    return number


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Malformed("JSON number outside the range of a double")
    return number


def _refuse_constant(_name: str) -> NoReturn:
    raise Malformed("JSON with NaN or an infinity")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_object,
    parse_int=_safe_integer,
    parse_float=_finite_float,
    parse_constant=_refuse_constant,
)
