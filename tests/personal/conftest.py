"""Two banks and a holder that know two people, and the portal of one bank."""

import pytest

from node.consents.personal import PersonalConsents
from tests.node.consent_world import ConsentWorld
from tests.personal.signing import SITE


@pytest.fixture
def world(tmp_path):
    made = ConsentWorld(tmp_path, ("bank-a", "bank-b", "payments"))
    for member in made.members.values():
        member.enrol(1, 2)
    yield made
    made.close()


@pytest.fixture
def bank(world):
    return world.member("bank-a")


@pytest.fixture
def mine(world, bank):
    return PersonalConsents(
        database=bank.database,
        service=bank.consents,
        member_id="bank-a",
        signing_key=lambda: bank.signing,
        relying_party=SITE,
        clock=lambda: world.now_ms,
    )
