"""What is tried against the log: the table in docs/audit.md names tests that there are."""

import ast
import re

from tests.audit.acts import ROOT

NUMBERS = {*range(1, 13), *range(24, 28), 29}
_ROW = re.compile(r"^\| ([0-9]+) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[a-z_/]+\.py)::(test_[a-z0-9_]+)`")


def table() -> dict[int, list[tuple[str, str]]]:
    """Number of a fault -> file and name of its tests."""
    page = (ROOT / "docs/audit.md").read_text(encoding="utf-8")
    section = page.split("## What is tried against it")[1].split("\n## ")[0]
    return {int(number): _TEST.findall(tests) for number, tests in _ROW.findall(section)}


def test_every_fault_has_its_tests_and_they_are_there() -> None:
    found = table()
    assert set(found) == NUMBERS
    for number, tests in found.items():
        assert tests, number
        for file, name in tests:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, name
