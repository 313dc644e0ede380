"""Scorecards of the network: the expert's as a bundle, and the one made from noised sums."""

import math

import numpy as np
import pytest

from models.baselines import federated_woe
from models.baselines.additive import bins_of
from models.baselines.expert import ExpertScorecard
from models.baselines.federated_woe import STEP, evidence, layout, moments, noisy_moments, scorecard
from models.baselines.published import as_network, expert_bundle
from models.baselines.woe import WoeLogistic
from models.bundle import Bundle
from models.encoder import Encoder
from models.evaluate import Scorer
from models.metrics import auc
from models.privacy.accountant import epsilon, noise_multiplier_for
from models.privacy.noise import GRID
from models.weights import logit
from protocols.errors import InvalidInput
from tests.models.population import Population

DELTA = 1e-5
NODES = 3


@pytest.fixture(scope="module")
def x(encoder: Encoder, people: Population):
    return encoder.encode(people.status, people.value)


@pytest.fixture(scope="module")
def y(people: Population):
    return people.label


def federated(encoder, x, y, noise: float, nodes: int = NODES):
    """A scorecard of people at several nodes, each of which adds a share of the noise."""
    plan, share = layout(encoder), noise / math.sqrt(nodes)
    parts = [slice(start, None, nodes) for start in range(nodes)]
    tallies = [
        plan.noisy(plan.add(federated_woe.cells(encoder, x[one], y[one])), share) for one in parts
    ]
    found = evidence(encoder, plan.read(np.sum(tallies, axis=0)), noise * plan.sensitivity)
    sums = [noisy_moments(moments(encoder, found, x[one]), share) for one in parts]
    return scorecard(encoder, found, np.sum(sums, axis=0))


def test_the_expert_scorecard_is_a_bundle_like_any_other(encoder, people):
    """Signed, read, scored with and explained as every version; it learnt from nobody."""
    bundle = Bundle.load(*expert_bundle(encoder.catalogue, 5).pack())
    assert (bundle.manifest.members, bundle.manifest.epsilon, bundle.manifest.rounds) == ((), 0, 0)
    scorer = Scorer(bundle, encoder.catalogue)
    status, value = people.status[:500], people.value[:500]
    scores = scorer.score(status, value)
    assert auc(people.label[:500], scores.pd) > 0.65
    assert scorer.explain(status[:3], value[:3])
    assert expert_bundle(encoder.catalogue, 5).pack() == expert_bundle(encoder.catalogue, 5).pack()


def test_a_scorecard_as_a_network_says_the_same(encoder, x, y):
    for core in (ExpertScorecard(encoder).scorecard(), WoeLogistic(encoder).learn(x, y, 0)):
        inside = np.abs(core.raw(x)) < 5.9  # beyond it a scorecard stops
        np.testing.assert_allclose(
            logit(as_network(core), x)[inside], core.raw(x)[inside], atol=1e-4
        )


@pytest.mark.parametrize(("ceiling", "lost"), [(3.0, 0.015), (1.0, 0.045)])
def test_a_scorecard_of_noised_sums_is_near_the_one_that_sees_all_rows(
    encoder, x, y, ceiling, lost
):
    """Three nodes, 4,000 people in all, nobody's rows seen: a little below the pooled scorecard,
    and its directions are the catalogue's.

    The mean of many draws of the noise is bounded, for a single one has long tails: of 400 the
    mean loss was .0099 and .0308, with a deviation of .0055 and .0134.
    """
    noise = noise_multiplier_for(ceiling, DELTA, 1.0, 2)
    assert epsilon(federated_woe.charges(noise, noise), DELTA) <= ceiling
    learn, rest = slice(0, 4000), slice(4000, None)
    made = [federated(encoder, x[learn], y[learn], noise) for _ in range(30)]
    pooled = WoeLogistic(encoder).learn(x[learn], y[learn], 0)
    reached = np.mean([auc(y[rest], one.raw(x[rest])) for one in made])
    assert reached > auc(y[rest], pooled.raw(x[rest])) - lost
    for one in made:
        for spec, table in zip(encoder.catalogue.signals, one.tables, strict=True):
            assert (np.diff(table[:-2]) * spec.monotone >= -1e-12).all(), spec.id


def test_one_person_moves_the_sums_by_no_more_than_their_noise_is_counted_for(encoder, x, y):
    """The charge assumes a sensitivity: no row of zeros and ones exceeds it."""
    plan = layout(encoder)
    counted = plan.add(federated_woe.cells(encoder, x[:1], y[:1]))
    assert np.linalg.norm(counted) == pytest.approx(plan.sensitivity)
    tables = tuple(np.linspace(-9, 9, place.edges + 3) for place in encoder.columns)
    found = federated_woe.Evidence(tables, 0.1, 100.0, np.zeros(len(tables)))
    for row in (x[:1], np.zeros_like(x[:1]), np.ones_like(x[:1])):
        moved = moments(encoder, found, row)
        assert np.linalg.norm(moved) <= (federated_woe.LENGTH * STEP) ** 2
    assert bins_of(encoder, x[:1]).shape == (1, len(tables))


def test_the_noise_of_the_moments_has_the_size_that_is_charged():
    drawn = noisy_moments(np.zeros(20_000, np.int64), 2.0)
    assert drawn.std() == pytest.approx(2.0 * (federated_woe.LENGTH * STEP) ** 2, rel=0.03)


def test_sums_that_say_nothing_are_refused(encoder):
    """A tally of noise alone, or moments of another catalogue, make no scorecard."""
    plan = layout(encoder)
    nobody = plan.read(plan.noisy(np.zeros(plan.size, np.int64), 3.0))
    with pytest.raises(InvalidInput, match="too few"):
        evidence(encoder, nobody, 3.0 * plan.sensitivity)
    one_class = {
        name: np.stack([np.full(len(block), 90.0), np.zeros(len(block))], axis=1)
        for name, block in plan.read(np.full(plan.size, GRID)).items()
    }
    with pytest.raises(InvalidInput, match="too few"):
        evidence(encoder, one_class, 0.0)
    tables = tuple(np.zeros(place.edges + 3) for place in encoder.columns)
    found = federated_woe.Evidence(tables, 0.1, 100.0, np.zeros(len(tables)))
    with pytest.raises(InvalidInput, match="another catalogue"):
        scorecard(encoder, found, np.zeros(3, np.int64))
