"""The membership-inference figure means something: it sees a model that remembers, and only that.

And what a campaign claims to spend is what an accountant of another kind makes of its charges.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.rdp import RdpAccountant
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from models.card_figures import measured
from models.catalogue import load_default
from models.encoder import Encoder
from models.evaluation import HELD_LOSSES, MEMBER_LOSSES
from models.membership_inference import (
    LOSS_BINS,
    attack_advantage,
    attack_auc,
    loss_cells,
    losses,
    most_an_attack_can,
)
from models.plan import Architecture, CampaignPlan
from models.privacy.accountant import Accountant
from models.privacy.charge import STEP, campaign_charges, evaluation_charge
from models.proposal import propose
from models.training import fit_plain
from models.weights import Weights
from tests.models.federated import Cohort, opened, train
from tests.models.population import make

CATALOGUE = load_default()
ENCODER = Encoder(CATALOGUE)
PEOPLE = make(CATALOGUE, 2400, seed=11)
X = ENCODER.encode(PEOPLE.status, PEOPLE.value)
HELD = np.arange(2400) % 2 == 0
COINS = np.random.default_rng(5).integers(0, 2, 2400)


def cohorts(people: int, labels: NDArray[np.int64]) -> list[Cohort]:
    """Three nodes' customers, every other one held out."""
    rows = [np.arange(one, people, 3) for one in range(3)]
    return [Cohort(X[part], labels[part], HELD[part]) for part in rows]


def attack(
    plan: CampaignPlan, weights: Weights, parts: list[Cohort], noise: float
) -> tuple[float, float, float]:
    """The attack's AUC and its interval, from the same noised tally as a campaign's."""
    tables = opened(plan, ENCODER, weights, parts, noise=noise).tables()
    figure = measured(attack_auc, [tables[MEMBER_LOSSES], tables[HELD_LOSSES]])
    assert figure is not None
    return figure.value, figure.low, figure.high


def test_the_attack_succeeds_on_a_model_that_remembers_and_fails_on_a_private_one() -> None:
    """One learns the outcomes of coins by heart, which nobody can predict; a campaign cannot."""
    wide = Architecture(hidden=64, block_dropout=0.0)
    few = ~HELD[:600]
    remembers = fit_plain(
        ENCODER, wide, X[:600][few], COINS[:600][few],
        seed=1, epochs=80, batch=32, learning_rate=2e-2, weight_decay=0.0,
    )  # fmt: skip
    plan = propose(CATALOGUE, "c", ["a", "b", "c"], rounds=40, held_out=0.5)
    found, low, _ = attack(plan, remembers, cohorts(600, COINS), 0.3)
    assert found > 0.75
    assert low > 0.7
    parts = cohorts(len(X), COINS)
    seen = []
    for _ in range(4):  # of 300 campaigns the mean was .5135, with a deviation of .0092
        private, _ = train(plan, ENCODER, [trained_on(part) for part in parts])
        seen.append(attack(plan, private.averaged, parts, 0.3)[0])
    assert abs(np.mean(seen) - 0.5) < 0.045


def trained_on(part: Cohort) -> Cohort:
    """Those of a cohort who train."""
    assert part.held is not None
    return Cohort(part.x[~part.held], part.y[~part.held])


def test_the_noise_that_is_released_widens_the_interval_and_does_not_invent_an_attack() -> None:
    plan = propose(CATALOGUE, "c", ["a", "b", "c"], rounds=40, held_out=0.5)
    same = np.full(LOSS_BINS, 1000.0)
    assert attack_auc(same, same) == pytest.approx(0.5)
    assert attack_advantage(same, same) == 0
    apart = np.zeros((2, LOSS_BINS))
    apart[0, 0] = apart[1, -1] = 10
    assert attack_auc(*apart) == attack_advantage(*apart) == 1
    assert np.isnan(attack_auc(np.zeros(LOSS_BINS), same))
    assert plan.evaluation.held_out == 0.5


def test_losses_are_those_of_the_outcome_and_fall_in_their_bins() -> None:
    raw = np.array([0.0, 50.0, 50.0, -3.0])
    y = np.array([1, 1, 0, 0])
    expected = [math.log(2), 0, 50, math.log1p(math.exp(-3))]
    np.testing.assert_allclose(losses(raw, y), expected, atol=1e-9)
    assert loss_cells(raw, y).tolist() == [8, 0, LOSS_BINS - 1, 1]


def test_no_attack_can_do_more_than_epsilon_allows() -> None:
    assert most_an_attack_can(0.0, 0.0) == 0
    assert most_an_attack_can(1.0, 0.0) == pytest.approx(math.tanh(0.5))
    assert 0.99 < most_an_attack_can(8.0, 1e-5) < 1
    assert most_an_attack_can(64.0, 1e-5) == 1


@pytest.mark.parametrize("mode", ["local", "distributed"])
def test_another_accountant_finds_the_epsilon_of_a_whole_campaign(mode: str) -> None:
    """Renyi accounting of all charges, evaluation and follow-up too: no lower, and near."""
    plan = propose(CATALOGUE, "c", ["a", "b", "c"], mode=mode)
    for alone in (False, True):
        charges = campaign_charges(plan, alone=alone)
        ours = Accountant().epsilon(charges, 1e-5)
        other = RdpAccountant()
        for charge, count in charges:
            event: dp_event.DpEvent = dp_event.GaussianDpEvent(charge.noise_multiplier)
            if charge.mechanism == STEP:
                event = dp_event.PoissonSampledDpEvent(charge.sampling_rate, event)
            other.compose(event, count)
        assert ours <= other.get_epsilon(1e-5) <= 1.15 * ours
        if not alone:
            assert 0.98 * plan.privacy.epsilon < ours <= plan.privacy.epsilon + 1e-6


def test_the_evaluation_is_priced_as_the_gaussian_mechanism_that_it_is() -> None:
    """Against the exact curve of Balle and Wang 2018 (arXiv 1805.06530), theorem 8."""
    plan = propose(CATALOGUE, "c", ["a", "b", "c"])
    charge = evaluation_charge(plan.privacy)
    epsilon = Accountant().epsilon([(charge, 1)], 1e-5)
    mu = 1 / charge.noise_multiplier
    exact = ndtr(mu / 2 - epsilon / mu) - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu))
    assert exact == pytest.approx(1e-5, rel=0.02)
    dearer = replace(plan.privacy, tally_noise=plan.privacy.tally_noise / 2)
    assert Accountant().epsilon([(evaluation_charge(dearer), 1)], 1e-5) > 1.8 * epsilon
