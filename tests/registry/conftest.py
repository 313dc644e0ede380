"""A registry with two members, in a temporary directory."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.registry.world import Registry, open_registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with ExitStack() as stack:
        yield open_registry(tmp_path, stack, "bank-a", "bank-b")
