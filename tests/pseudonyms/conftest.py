"""A coordinator and five members for every test that wants them."""

import pytest

from tests.coordinator.conftest import coordinator, home  # noqa: F401 - fixtures
from tests.pseudonyms.world import make_world


@pytest.fixture
def world(coordinator, tmp_path):  # noqa: F811 - a fixture's name
    made = make_world(coordinator, tmp_path)
    yield made
    made.close()
