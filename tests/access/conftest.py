"""One node for all tests of access; each adds clients of its own."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.access.world import Platform, World, open_world

_names = count(1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("access")) as opened:
        yield opened


@pytest.fixture
def world(shared: World) -> World:
    """The clock goes on between tests: nothing of one is a moment ago for the next."""
    shared.clock[0] += 3_600_000
    shared.acts.clear()
    shared.fails.clear()
    return shared


@pytest.fixture
def platform(world: World) -> Platform:
    """A client that may read and report, with a token."""
    scopes = ("scores:read", "outcomes:write")
    return world.platform(f"platform {next(_names)}", scopes).sign_in()
