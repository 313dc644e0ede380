"""An authority, a small campaign and a bank that joined: made once, copied for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.settings import make_settings
from models.catalogue import Catalogue, load_default
from models.privacy.accountant import Accountant
from tests.federation.rounds import Campaign, make_campaign
from tests.federation.world import Bank, add_bank, now_ms, populate


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_default()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    home = tmp_path_factory.mktemp("network") / "coordinator"
    init_coordinator(home, make_settings(name="test"), now_ms())
    opened = open_coordinator(home)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def campaign(authority: Coordinator, catalogue: Catalogue) -> Campaign:
    return make_campaign(authority, catalogue)


@pytest.fixture(scope="session")
def settled_bank(authority: Coordinator, catalogue: Catalogue, tmp_path_factory) -> Bank:
    """A bank with 80 consented customers, at rest."""
    root = tmp_path_factory.mktemp("settled")
    bank = add_bank(authority, root, "bank-a", "127.0.0.1:1")
    populate(bank, 1, 80, catalogue)
    bank.node.close()
    return bank


@pytest.fixture(scope="session")
def accountant() -> Accountant:
    """Keeps what it has computed, so that a test does not compute it again."""
    return Accountant()


@pytest.fixture
def bank(settled_bank: Bank, accountant: Accountant, tmp_path: Path) -> Iterator[Bank]:
    home = shutil.copytree(settled_bank.home, tmp_path / "bank-a")
    copied = settled_bank.moved_to(home, accountant)
    yield copied
    copied.node.close()


@pytest.fixture
def accepted(bank: Bank, campaign: Campaign) -> Campaign:
    """The campaign, answered by the bank."""
    answer = bank.worker.trainer.accept(campaign.document)
    assert (answer.refusal, answer.campaign_id) == ("", "camp-1")
    return campaign
