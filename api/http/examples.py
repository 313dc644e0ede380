"""Examples out of JSON Schemas: what a reader of the reference sees where nobody wrote one.

A schema's own `examples` come first; a field without any gets a value of its form. The same schema
gives the same example.
"""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

AT_MS = 1_790_000_000_000
MAX_DEPTH = 12
_OF_PATTERN = {
    "^[0-9a-f]{64}$": "5d7a1c3e9b0f2846" * 4,
    "^[0-9a-f]{128}$": "5d7a1c3e9b0f2846" * 8,
}
_ABSENT = frozenset({"exclusion", "error", "ended_at_ms", "ended_for", "hindered_by"})
"""Fields that are null or empty where things go well: an answer has a score or an exclusion."""
_NUMBERS = {"pd": 0.034, "low": 0.021, "high": 0.052, "points": 14.5, "signal_coverage": 0.86}
_OF_FORMAT = {"date": "2026-09-21", "date-time": "2026-09-21T14:13:20Z"}
_PREFIXES = {
    "subject": "sub_7x3k2m4p6q7r2s5t5v7w2x4y6z",
    "consent_id": "con_2b4d6f2h7j3l5n7p2r2t4v6x4z",
    "score_id": "scr_019a3f5b2c4e8d17f0a6b3c5e2d49f81",
    "client_id": "cli_3d5f7h2j4l6n4p2r6t5v3x7z2b",
    "request_id": "req_0123456789abcdef",
    "code": "",
    "ended_for": "",
    "hindered_by": "",
    "model": "model-0007",
    "statement": "I paid this on time.",
    "cursor": "eyJzZXEiOjQyfQ",
    "next_cursor": "eyJzZXEiOjQyfQ",
    "idempotency-key": "loan-2026-000142",
    "url": "https://platform.example/webhooks/credence",
    "timestamp": "2026-09-21T14:13:20.000Z",
}


def example_of(schema: Schema, parts: Mapping[str, Schema], name: str = "", depth: int = 0) -> Any:
    """A value that a schema allows.

    Args:
        schema: JSON Schema 2020-12, as pydantic writes it.
        parts: `components.schemas`.
        name: of the field it is for; chooses a value where the schema leaves it open.
        depth: of nesting so far.
    """
    if name in _ABSENT and {"type": "null"} in schema.get("anyOf", ()):
        return None
    if "$ref" in schema:
        referred = parts[schema["$ref"].rsplit("/", 1)[1]]
        return example_of({**referred, **_without_ref(schema)}, parts, name, depth + 1)
    for word in ("examples", "example", "const", "default"):
        if word in schema:
            return schema[word][0] if word == "examples" else schema[word]
    if "enum" in schema:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return example_of(schema[word][0], parts, name, depth + 1)
    return _by_type(schema, parts, name, depth)


def _by_type(schema: Schema, parts: Mapping[str, Schema], name: str, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return _object(schema, parts, depth)
    if kind == "array":
        few = depth > MAX_DEPTH or "items" not in schema
        return [] if few else [example_of(schema["items"], parts, name, depth + 1)]
    if kind == "boolean":
        return False
    if kind in {"integer", "number"}:
        return _number(schema, name)
    return None if kind == "null" else _text(schema, name)


def _object(schema: Schema, parts: Mapping[str, Schema], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        return {}
    fields: Mapping[str, Schema] = schema.get("properties", {})
    return {name: example_of(one, parts, name, depth + 1) for name, one in fields.items()}


def _number(schema: Schema, name: str) -> float:
    low: float = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    if name.endswith("_ms"):
        return AT_MS
    if schema["type"] == "number":
        if name in _NUMBERS:
            return _NUMBERS[name]
        high: float = schema.get("maximum", low + 1)
        return round(low + (high - low) * 0.12, 3)
    return int(max(low, min(1, schema.get("maximum", 1))))


def _text(schema: Schema, name: str) -> str:
    known = _OF_PATTERN.get(schema.get("pattern", "")) or _OF_FORMAT.get(schema.get("format", ""))
    if known is not None:
        return known
    return _PREFIXES.get(name, "text"[: schema.get("maxLength", 4)])


def _without_ref(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name != "$ref"}
