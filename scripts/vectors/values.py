"""Vectors of canonical JSON (RFC 8785)."""

from typing import Any

from protocols.canonical import canonical_json, sha256

VALUES: tuple[tuple[str, Any], ...] = (
    ("keys sort by UTF-16 code unit", {"\u20ac": 1, "\r": 2, "1": 3, "\U0001f600": 4, "\ufb33": 5}),
    (
        "strings escape what JSON must escape and nothing else",
        ["\u0000\u001f\"\\/\b\f\n\r\t\u007f\u00e9\u4e2d"],
    ),
    ("doubles are written as ECMAScript writes them", [1e30, 4.5, 2e-3, 1e-27, 1e21, 0.1, 100.0]),
    ("integers stay within 2^53 - 1", [9007199254740991, -9007199254740991, 0]),
    ("literals and nesting", {"a": [True, False, None, {}, []], "b": {"c": "d"}}),
)  # fmt: skip

REFUSED: tuple[tuple[str, bytes], ...] = (
    ("blanks", b'{"a": 1}'),
    ("keys out of order", b'{"b":1,"a":2}'),
    ("a key twice", b'{"a":1,"a":1}'),
    ("a number in another spelling", b'{"a":1.0}'),
    ("negative zero", b'{"a":-0}'),
    ("an integer outside the safe range", b'{"a":9007199254740992}'),
    ("not a number", b'{"a":NaN}'),
    ("an escape that is not needed", b'{"a":"\\u0061"}'),
    ("half a surrogate pair", b'{"a":"\\ud800"}'),
    ("not UTF-8", b'{"a":"\xff"}'),
    ("a byte order mark", b"\xef\xbb\xbf{}"),
    ("text after the value", b"{}{}"),
    ("nested 17 deep", b"[" * 17 + b"]" * 17),
)


def page() -> dict[str, Any]:
    """Values with their bytes, and bytes that no parser here takes."""
    vectors = []
    for name, value in VALUES:
        data = canonical_json(value)
        vectors.append(
            {
                "check": "canonical_json",
                "name": name,
                "value": value,
                "bytes": data.hex(),
                "sha256": sha256(data).hex(),
            }
        )
    refused = [
        {"check": "refused_json", "name": name, "bytes": data.hex()} for name, data in REFUSED
    ]
    return {"vectors": vectors, "refused": refused}
