"""The portal over a real node, and who reads it."""

from collections.abc import Iterator

import pytest

from tests.browser.portal_world import PortalWorld, open_portal
from tests.web.reader import ANNA, BEN, CARL, MANY, Reader


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    with open_portal(tmp_path_factory.mktemp("portal")) as opened:
        for number in (ANNA, BEN, MANY, CARL):
            opened.enrol(number)
        yield opened


@pytest.fixture
def anna(world: PortalWorld) -> Iterator[Reader]:
    reader = Reader(world, ANNA)
    yield reader
    reader.http.close()


@pytest.fixture(scope="module")
def annas(world: PortalWorld) -> str:
    """A consent of Anna's that her score rests on."""
    consent_id = world.grant(ANNA)
    world.score(ANNA, consent_id)
    return consent_id


@pytest.fixture(scope="module")
def bens(world: PortalWorld) -> str:
    return world.grant(BEN)
