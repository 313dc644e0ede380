"""A registry with two members, in a temporary directory."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.registry.world import AtRest, Registry, make_homes, open_registry


@pytest.fixture(scope="session")
def rest(tmp_path_factory: pytest.TempPathFactory) -> AtRest:
    return make_homes(tmp_path_factory.mktemp("rest"), "bank-a", "bank-b")


@pytest.fixture
def registry(rest: AtRest, tmp_path: Path, database_url: str) -> Iterator[Registry]:
    with ExitStack() as stack:
        yield open_registry(rest, tmp_path, stack, database_url)
