"""A bank, and a regulator at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.regulator.world import World, open_world


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all tests of a module that do not mind what others left in it."""
    with open_world(tmp_path_factory.mktemp("shared")) as opened:
        yield opened


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as opened:
        yield opened
