"""Worlds in which a bank scores people."""

from pathlib import Path

import pytest

from tests.node.scoring_world import open_world


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """One world for tests that use people of their own."""
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture
def world(tmp_path: Path):
    with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
def fresh():
    """Numbers of people that nobody used before."""
    return _numbers


class _Numbers:
    def __init__(self) -> None:
        self._next = 0

    def __call__(self) -> int:
        self._next += 1
        return self._next


_numbers = _Numbers()
