"""Fixtures shared by this room's tests."""

import pytest

from models.catalogue import Catalogue, load_default
from models.encoder import Encoder
from tests.models.population import Population, make


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_default()


@pytest.fixture(scope="session")
def encoder(catalogue: Catalogue) -> Encoder:
    return Encoder(catalogue)


@pytest.fixture(scope="session")
def people(catalogue: Catalogue) -> Population:
    return make(catalogue, 8_000, seed=11)
