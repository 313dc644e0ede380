"""A network of two banks and a data provider."""

from collections.abc import Iterator

import pytest

from tests.membership.world import World, open_world


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    with open_world(tmp_path) as opened:
        opened.join("bank-a")
        opened.join("bank-b")
        opened.join("payments", "data_provider", holds=("payment",))
        opened.refresh()
        yield opened
