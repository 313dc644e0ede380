"""The vectors in docs/vectors are what the code makes and takes, to the last character."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.errors import CredenceError
from scripts.vectors.__main__ import FOLDER, FORMAT, pages
from tests.protocols.vector_checks import CHECKS
from tests.protocols.vector_fields import Mismatch

FREE = {"check", "name", "rejection_seed"}  # these bind nothing
FILES = sorted(Path(FOLDER).glob("*.json"))
PAGES = {file.name: json.loads(file.read_text()) for file in FILES}


def listed(part: str) -> list[Any]:
    return [
        pytest.param(vector, page.get("context", {}), id=f"{file}: {vector['name']}")
        for file, page in PAGES.items()
        for vector in page.get(part, [])
    ]


def test_the_files_are_what_the_generator_makes_now() -> None:
    assert {file.name: file.read_text() for file in FILES} == pages()
    assert {page["format"] for page in PAGES.values()} == {FORMAT}


def test_every_kind_of_check_has_a_vector() -> None:
    kinds = {
        vector["check"]
        for page in PAGES.values()
        for part in ("vectors", "refused")
        for vector in page.get(part, [])
    }
    assert kinds == set(CHECKS)


@pytest.mark.parametrize(("vector", "context"), listed("vectors"))
def test_every_field_of_a_vector_holds(vector: dict[str, Any], context: dict[str, Any]) -> None:
    CHECKS[vector["check"]](vector, context)


@pytest.mark.parametrize(("vector", "context"), listed("refused"))
def test_what_must_be_refused_is(vector: dict[str, Any], context: dict[str, Any]) -> None:
    with pytest.raises(CredenceError) as raised:
        CHECKS[vector["check"]](vector, context)
    assert raised.value.code == vector.get("code", "malformed")


@pytest.mark.parametrize(("vector", "context"), listed("vectors"))
def test_a_vector_changed_anywhere_is_refused(
    vector: dict[str, Any], context: dict[str, Any]
) -> None:
    taken = [
        where for where, changed in mutants(vector) if holds(vector["check"], changed, context)
    ]
    assert taken == []


def holds(check: str, vector: dict[str, Any], context: dict[str, Any]) -> bool:
    try:
        CHECKS[check](vector, context)
    except (CredenceError, Mismatch):
        return False
    return True


def mutants(vector: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The vector with one leaf changed, each leaf in turn: its begin, its middle, its end."""
    for path in leaves({key: value for key, value in vector.items() if key not in FREE}):
        for place in (0.0, 0.5, 1.0):
            changed = copy.deepcopy(vector)
            holder: Any = changed
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = mutated(holder[path[-1]], place)
            yield "/".join(map(str, path)), changed


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def mutated(value: Any, place: float) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, float):
        return value * 2
    if isinstance(value, int):
        return value + 1 if value < 2**53 - 1 else value - 1
    if not value:
        return "00"
    at = round(place * (len(value) - 1))
    return value[:at] + flipped(value[at]) + value[at + 1 :]


def flipped(character: str) -> str:
    if character in "0123456789abcdef":
        return f"{int(character, 16) ^ 1:x}"
    return chr(ord(character) ^ 1)
