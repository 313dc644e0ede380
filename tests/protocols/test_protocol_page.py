"""docs/protocol.md says what the code does: its checks, its limits, its error codes, its links."""

import importlib
import inspect
import re

import pytest

from scripts import error_codes, limits
from scripts.pages import PROTOCOL, ROOT, renewed

PAGE = PROTOCOL.read_text(encoding="utf-8")
LISTS = re.findall(r"<!-- checks: ([\w.]+) -->\n\n((?:(?:\d+\.| {3}).*\n)+)", PAGE)
NUMBER = re.compile(r"(?<![\w.])(\d{1,2})\. (?=[A-Za-z`])")


def docstring(name: str) -> str:
    """Of a module, or of a function or method in one."""
    module, rest = name, []
    while True:
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
    for part in rest:
        found = getattr(found, part)
    return inspect.getdoc(found) or ""


def highest(text: str) -> int:
    """The largest n for which 1. to n. all stand in a text."""
    numbers = {int(one) for one in NUMBER.findall(text)}
    return max((n for n in numbers if numbers >= set(range(1, n + 1))), default=0)


def test_the_page_numbers_checks() -> None:
    assert len(LISTS) == PAGE.count("<!-- checks: ") >= 15


@pytest.mark.parametrize(("name", "listed"), LISTS, ids=[name for name, _ in LISTS])
def test_a_list_of_checks_has_as_many_as_the_code_says(name: str, listed: str) -> None:
    assert highest(listed) == highest(docstring(name)) > 0


def test_the_limits_are_those_in_force() -> None:
    assert renewed(PAGE, limits.BEGIN, limits.END, limits.table()) == PAGE


def test_every_error_code_of_the_house_is_listed() -> None:
    assert renewed(PAGE, error_codes.BEGIN, error_codes.END, error_codes.table()) == PAGE
    assert list(error_codes.undocumented()) == []


def test_a_page_without_its_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="stand once"):
        renewed("no markers", limits.BEGIN, limits.END, "")


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGE):
        assert (PROTOCOL.parent / link).exists(), link
    for path in re.findall(r"`((?:protocols|node|consent|coordinator)/[\w/]+\.py)`", PAGE):
        assert (ROOT / path).exists(), path
    for vectors in re.findall(r"`([a-z-]+\.json)`", PAGE):
        assert (PROTOCOL.parent / "vectors" / vectors).exists(), vectors
