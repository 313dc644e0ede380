"""A small network whose console is served."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.console.world import ConsoleWorld, open_console


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ConsoleWorld]:
    with open_console(tmp_path) as opened:
        yield opened


@pytest.fixture
def operator(world: ConsoleWorld) -> httpx.Client:
    return world.operator()
