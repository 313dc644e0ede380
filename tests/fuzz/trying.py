"""What fuzz targets share: how an attempt is made, and the test vectors they begin from."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from protocols.canonical import canonical_json
from protocols.directory import Directory
from protocols.errors import CredenceError

VECTORS = Path(__file__).resolve().parent.parent.parent / "docs/vectors"


@dataclass(frozen=True)
class Target:
    """One entry point.

    Attributes:
        run: takes any bytes; whether they were taken whole. It raises only what is our fault.
        seeds: bytes that are taken whole, from the test vectors.
    """

    run: Callable[[bytes], bool]
    seeds: Callable[[], Sequence[bytes]]


@cache
def vectors(page: str, check: str) -> list[dict[str, Any]]:
    """The vectors of one kind."""
    listed = json.loads((VECTORS / f"{page}.json").read_text())["vectors"]
    return [vector for vector in listed if vector["check"] == check]


@cache
def network() -> Directory:
    """The directory of the exchange's vectors."""
    page = json.loads((VECTORS / "exchange.json").read_text())
    return Directory.from_body(page["context"]["directories"]["1"].encode())


def canonical_too(data: bytes) -> list[bytes]:
    """The bytes, and if they are any JSON its canonical form: another spelling stops a parser."""
    found = [data]
    with contextlib.suppress(ValueError, RecursionError, CredenceError):
        found.append(canonical_json(json.loads(data)))
    return found


def attempt(function: Callable[..., object], *arguments: object) -> bool:
    """Whether `function` takes it; its refusal is fine, anything else goes on up."""
    try:
        function(*arguments)
    except CredenceError:
        return False
    return True
