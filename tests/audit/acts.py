"""Which kinds of leaves the program can write, read from its source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("node", "coordinator", "audit")
_KIND = re.compile(r"[a-z][a-z_]*(?:\.(?:[a-z][a-z_]*|\*))+")
_LOGS = {"debug", "info", "warning", "error", "exception", "critical", "get_logger", "getLogger"}
# What looks like a kind and is none: names of columns, files, events of the process's log
# and webhook messages (`emit`).
_ELSEWHERE = ("storage", "verifier")
_SUFFIXES = ("pem", "db", "lock", "sealed", "toml", "yaml", "json", "state", "jsonl")


def written() -> dict[str, set[str]]:
    """Kind (`*` for a part that is filled in) -> the files that can write it."""
    found: dict[str, set[str]] = {}
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            place = file.relative_to(ROOT)
            if not set(_ELSEWHERE) & set(place.parts):
                for kind in _kinds(ast.parse(file.read_text(encoding="utf-8"))):
                    found.setdefault(kind, set()).add(place.as_posix())
    return found


def _kinds(tree: ast.AST) -> Iterator[str]:
    if isinstance(tree, ast.Call):
        called = tree.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name in _LOGS or name.endswith("Column") or name in {"ForeignKey", "prefixed", "emit"}:
            return
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield from _kind(tree.value)
        return
    if isinstance(tree, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else "*" for one in tree.values]
        yield from _kind("".join(map(str, parts)))
        return
    for child in ast.iter_child_nodes(tree):
        yield from _kinds(child)


def _kind(text: str) -> Iterator[str]:
    if _KIND.fullmatch(text) and text.rpartition(".")[2] not in _SUFFIXES:
        yield text
