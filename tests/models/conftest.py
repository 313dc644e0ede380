"""Fixtures shared by this room's tests."""

from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_limits

from models.catalogue import Catalogue, load_default
from models.encoder import Encoder
from tests.models.population import Population, make


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small matrices gain nothing from threads: on a busy machine they wait for each other, and a
    campaign takes fifty times as long."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_default()


@pytest.fixture(scope="session")
def encoder(catalogue: Catalogue) -> Encoder:
    return Encoder(catalogue)


@pytest.fixture(scope="session")
def people(catalogue: Catalogue) -> Population:
    return make(catalogue, 8_000, seed=11)
