"""What the pages of the API reference show, read out of the OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from api.http.openapi import Document, Operation, messages, operations
from api.http.snippets import VERIFYING, curl, python

MAX_FIELDS = 120
MAX_LEVEL = 3
Pieces = tuple[tuple[bool, str], ...]  # (whether it is code, text)


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation in the overview."""

    operation_id: str
    method: str
    path: str
    summary: str


@dataclass(frozen=True, slots=True)
class Section:
    """The operations of one tag."""

    name: str
    description: Pieces
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body or an answer.

    Attributes:
        name: with its place: `coverage[].status`.
        where: `path`, `query` or `header` for a parameter, else empty.
        kind: its type in the words of JSON Schema.
        required: whether it has to be there.
        description: what it means.
        example: of a parameter; empty: none.
    """

    name: str
    where: str
    kind: str
    required: bool
    description: Pieces
    example: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A body or an answer: its media type, its fields and an example."""

    media_type: str
    fields: tuple[Field, ...]
    example: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One status that an operation answers with."""

    status: str
    description: Pieces
    shown: Shown | None


@dataclass(frozen=True, slots=True)
class Reference:
    """Everything of one operation, or of one message that is sent to clients.

    Attributes:
        received: whether it is a message.
    """

    entry: Entry
    tag: str
    paragraphs: tuple[Pieces, ...]
    secured: bool
    parameters: tuple[Field, ...]
    body: Shown | None
    answers: tuple[Answer, ...]
    refusals: tuple[Answer, ...]
    curl: str
    python: str
    received: bool = False


def sections(document: Document) -> tuple[Section, ...]:
    """All operations and messages by tag, in the document's order."""
    by_tag: dict[str, list[Entry]] = {tag["name"]: [] for tag in document.get("tags", ())}
    for path, method, operation in chain(operations(document), messages(document)):
        by_tag.setdefault(_tag(operation), []).append(_entry(path, method, operation))
    about = {tag["name"]: tag.get("description", "") for tag in document.get("tags", ())}
    return tuple(
        Section(name, pieces(about.get(name, "")), tuple(entries))
        for name, entries in by_tag.items()
        if entries
    )


def reference(document: Document, operation_id: str, base_url: str) -> Reference | None:
    """One operation or message; None: there is none by that id."""
    for path, method, operation in operations(document):
        if operation.get("operationId") == operation_id:
            return _reference(document, path, method, operation, base_url)
    for kind, method, message in messages(document):
        if message["operationId"] == operation_id:
            return _message(document, kind, method, message)
    return None


def pieces(text: str) -> Pieces:
    """A text taken apart at its backticks: `(False, words)` and `(True, code)` in turn."""
    parts = text.split("`")
    return tuple((place % 2 == 1, part) for place, part in enumerate(parts) if part)


def _reference(
    document: Document, path: str, method: str, operation: Operation, base_url: str
) -> Reference:
    parts = document["components"]["schemas"]
    answers = tuple(
        Answer(status, pieces(one.get("description", "")), _shown(one, parts))
        for status, one in operation["responses"].items()
    )
    return Reference(
        entry=_entry(path, method, operation),
        tag=_tag(operation),
        paragraphs=tuple(map(pieces, _paragraphs(operation.get("description", "")))),
        secured=bool(operation.get("security")),
        parameters=tuple(_parameter(one, parts) for one in operation.get("parameters", ())),
        body=_shown(operation.get("requestBody", {}), parts),
        answers=tuple(one for one in answers if one.status < "4"),
        refusals=tuple(one for one in answers if one.status >= "4"),
        curl=curl(base_url, path, method, operation),
        python=python(base_url, operation),
    )


def _message(document: Document, kind: str, method: str, message: Operation) -> Reference:
    parts = document["components"]["schemas"]
    return Reference(
        entry=_entry(kind, method, message),
        tag=_tag(message),
        paragraphs=tuple(map(pieces, _paragraphs(message["description"]))),
        secured=False,
        parameters=tuple(_parameter(one, parts) for one in message["parameters"]),
        body=_shown(message["requestBody"], parts),
        answers=tuple(
            Answer(status, pieces(one["description"]), None)
            for status, one in message["responses"].items()
        ),
        refusals=(),
        curl="",
        python=VERIFYING,
        received=True,
    )


def _entry(path: str, method: str, operation: Operation) -> Entry:
    return Entry(operation["operationId"], method.upper(), path, operation.get("summary", ""))


def _tag(operation: Operation) -> str:
    return str(next(iter(operation.get("tags", ())), "other"))


def _paragraphs(text: str) -> list[str]:
    return [" ".join(one.split()) for one in text.split("\n\n") if one.strip()]


def _parameter(parameter: Mapping[str, Any], parts: Document) -> Field:
    schema = parameter.get("schema", {})
    return Field(
        parameter["name"],
        parameter["in"],
        _kind(schema, parts),
        parameter.get("required", False),
        pieces(parameter.get("description", "") or schema.get("description", "")),
        _inline(parameter.get("example", "")),
    )


def _shown(holder: Mapping[str, Any], parts: Document) -> Shown | None:
    for media_type, medium in holder.get("content", {}).items():
        found = list(_rows(medium.get("schema", {}), parts))
        return Shown(media_type, tuple(found[:MAX_FIELDS]), _example(medium))
    return None


def _example(medium: Mapping[str, Any]) -> str:
    if "example" in medium:
        value = medium["example"]
    else:
        first: Any = next(iter(medium.get("examples", {}).values()), {})
        value = first.get("value", "") if isinstance(first, dict) else ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _rows(
    schema: Mapping[str, Any], parts: Document, prefix: str = "", level: int = 0
) -> Iterator[Field]:
    found = _plain(schema, parts)
    if found.get("type") == "array":
        yield from _rows(found.get("items", {}), parts, f"{prefix}[]", level)
        return
    required = found.get("required", ())
    for name, one in found.get("properties", {}).items():
        place = f"{prefix}.{name}" if prefix else name
        yield Field(place, "", _kind(one, parts), name in required, pieces(_about(one, parts)))
        if level < MAX_LEVEL:
            yield from _rows(one, parts, place, level + 1)


def _plain(schema: Mapping[str, Any], parts: Document) -> Mapping[str, Any]:
    """A schema behind its reference, and what it is when it is not null."""
    if "$ref" in schema:
        return _plain(parts[schema["$ref"].rsplit("/", 1)[1]], parts)
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    return _plain(choices[0], parts) if len(choices) == 1 else schema


def _about(schema: Mapping[str, Any], parts: Document) -> str:
    text = schema.get("description", "") or _plain(schema, parts).get("description", "")
    return " ".join(str(text).split())


def _kind(schema: Mapping[str, Any], parts: Document) -> str:
    if "$ref" in schema:
        return _kind(parts[schema["$ref"].rsplit("/", 1)[1]], parts)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " | ".join(dict.fromkeys(_kind(one, parts) for one in schema[word]))
    if schema.get("type") == "array":
        return f"{_kind(schema.get('items', {}), parts)}[]"
    return str(schema.get("type", "any"))


def _inline(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
