"""What is charged is an upper bound, and nothing passes the ceiling."""

import itertools
import math
import time

import pytest
from opacus.accountants import PRVAccountant, RDPAccountant

from models.privacy.accountant import Accountant, epsilon, noise_multiplier_for
from models.privacy.budget import Budget, BudgetSpent
from models.privacy.charge import COUNT, EVALUATION, STEP, Charge
from protocols.errors import InvalidInput

DELTA = 1e-5


@pytest.mark.parametrize(
    ("sigma", "rate", "rounds"), [(3.3, 0.2, 120), (1.1, 0.02, 300), (2.0, 0.5, 20)]
)
def test_epsilon_agrees_with_independent_accountants(sigma, rate, rounds):
    ours = epsilon([(Charge(STEP, sigma, rate), rounds)], DELTA)
    renyi, prv = RDPAccountant(), PRVAccountant()
    for _ in range(rounds):
        renyi.step(noise_multiplier=sigma, sample_rate=rate)
        prv.step(noise_multiplier=sigma, sample_rate=rate)
    assert 0.8 * renyi.get_epsilon(DELTA) < ours <= renyi.get_epsilon(DELTA)
    assert ours == pytest.approx(prv.get_epsilon(delta=DELTA), rel=0.02)


def test_a_single_gaussian_matches_its_closed_form():
    """Balle and Wang 2018, theorem 8."""
    sigma = 2.0
    ours = epsilon([(Charge(COUNT, sigma, 1.0), 1)], DELTA)

    def phi(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    reached = phi(0.5 / sigma - ours * sigma) - math.exp(ours) * phi(-0.5 / sigma - ours * sigma)
    assert reached <= DELTA
    assert reached == pytest.approx(DELTA, rel=0.01)


def test_no_charge_costs_nothing_and_order_does_not_matter():
    step, histogram = Charge(STEP, 3.0, 0.2), Charge(EVALUATION, 12.0, 1.0)
    assert epsilon([], DELTA) == 0
    assert epsilon([(step, 0)], DELTA) == 0
    one = epsilon([(step, 5), (histogram, 1), (step, 5)], DELTA)
    assert one == pytest.approx(epsilon([(histogram, 1), (step, 10)], DELTA), abs=1e-9)


def test_every_charge_counts():
    step = Charge(STEP, 3.0, 0.2)
    accountant = Accountant()
    spent = [accountant.epsilon([(step, rounds)], DELTA) for rounds in range(0, 30, 3)]
    assert all(a < b for a, b in itertools.pairwise(spent))
    with_count = accountant.epsilon([(step, 27), (Charge(COUNT, 20.0, 1.0), 1)], DELTA)
    assert with_count > spent[-1]


def test_the_noise_multiplier_keeps_the_ceiling_and_little_less_would_not():
    extra = [(Charge(EVALUATION, 12.0, 1.0), 1)]
    sigma = noise_multiplier_for(2.0, DELTA, 0.2, 50, extra)
    assert epsilon([(Charge(STEP, sigma, 0.2), 50), *extra], DELTA) <= 2.0
    assert epsilon([(Charge(STEP, sigma - 0.005, 0.2), 50), *extra], DELTA) > 2.0


def test_the_ledger_of_a_running_campaign_is_quick_to_read():
    accountant, step = Accountant(), Charge(STEP, 3.3, 0.2)
    others = [(Charge(COUNT, 20, 1.0), 1)]
    accountant.epsilon([(step, 100), *others], DELTA)
    started = time.process_time()
    for rounds in range(101, 121):
        accountant.epsilon([(step, rounds), *others], DELTA)
    assert (time.process_time() - started) / 20 < 0.1


def test_the_budget_admits_up_to_the_ceiling_and_then_refuses():
    step = Charge(STEP, 3.3, 0.2)
    accountant, budget = Accountant(), Budget(1.0, DELTA)
    done = 0
    while epsilon([(step, done + 1)], DELTA) <= 1.0:
        assert budget.admit(accountant, [(step, done)], step) <= 1.0
        done += 1
    with pytest.raises(BudgetSpent):
        budget.admit(accountant, [(step, done)], step)
    assert done > 5


@pytest.mark.parametrize(
    "charge", [Charge(STEP, 0.0, 0.2), Charge(STEP, 1.0, 0.0), Charge(STEP, 1.0, 1.2)]
)
def test_an_impossible_charge_is_refused(charge):
    with pytest.raises(InvalidInput):
        epsilon([(charge, 1)], DELTA)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5])
def test_an_impossible_delta_is_refused(delta):
    with pytest.raises(InvalidInput):
        epsilon([(Charge(STEP, 1.0, 0.2), 1)], delta)


def test_a_negative_count_of_charges_is_refused():
    with pytest.raises(InvalidInput):
        epsilon([(Charge(STEP, 1.0, 0.2), -1)], DELTA)
