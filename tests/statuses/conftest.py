"""Three members that keep each other's status lists, and one consent among them."""

import pytest

from tests.statuses.world import StatusWorld


@pytest.fixture
def world(tmp_path):
    opened = StatusWorld(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def consent_id(world):
    return world.grant("bank-a", 1, holders=["bank-b", "payments"])
