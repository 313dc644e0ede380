"""Both guarantees of a plan: what a node's own noise gives, and what the sum of shares gives."""

import math

import numpy as np
import pytest
from opacus.accountants import PRVAccountant, RDPAccountant

from models.catalogue import load_default
from models.plan import CampaignPlan
from models.privacy.accountant import epsilon
from models.privacy.charge import step_charge
from models.privacy.guarantees import guarantees, sum_of_gaussians_gap
from models.privacy.noise import GRID, discrete_gaussian
from models.proposal import propose

MEMBERS = ("bank-a", "bank-b", "bank-c")
CATALOGUE = load_default()


def plan(mode: str = "distributed", **options) -> CampaignPlan:
    options = {"quorum": 3, "rounds": 20, "follow_up_rounds": 0, **options}
    return propose(CATALOGUE, "c", MEMBERS, mode=mode, **options)


def test_shares_of_the_least_number_of_nodes_make_the_whole_noise():
    """With the tolerated dropouts gone, what is left still has the planned variance."""
    privacy = plan(quorum=2).privacy
    assert privacy.honest_minimum == 2
    assert 2 * privacy.node_noise_multiplier**2 == pytest.approx(privacy.noise_multiplier**2)
    assert 2 * privacy.node_tally_noise**2 == pytest.approx(privacy.tally_noise**2)


def test_a_distributed_plan_promises_its_ceiling_and_shows_what_holds_without_trust():
    both = guarantees(plan(epsilon=1.0))
    assert 0.97 < both.promised <= 1.0
    assert both.alone > 1.6 * both.promised
    assert (both.mode, both.honest_minimum, both.nodes) == ("distributed", 3, 3)


def test_a_local_plan_holds_without_trust():
    both = guarantees(plan("local", epsilon=1.0))
    assert both.alone == both.promised <= 1.0


def test_what_a_node_has_alone_is_what_independent_accountants_compute():
    """Opacus' PRV and Renyi accountants, from the noise that the node really adds."""
    privacy, rounds = plan().privacy, plan().rounds
    prv, renyi = PRVAccountant(), RDPAccountant()
    for accountant in (prv, renyi):
        for _ in range(rounds):
            accountant.step(
                noise_multiplier=privacy.node_noise_multiplier, sample_rate=privacy.sampling_rate
            )
    steps = epsilon([(step_charge(privacy, alone=True), rounds)], privacy.delta)
    assert steps == pytest.approx(prv.get_epsilon(delta=privacy.delta), rel=0.02)
    for noise in (privacy.node_tally_noise, privacy.count_noise):
        renyi.step(noise_multiplier=noise, sample_rate=1.0)
    alone = guarantees(plan()).alone
    assert steps < alone <= renyi.get_epsilon(privacy.delta) < 1.3 * alone


def test_fewer_honest_nodes_cost_more_noise_each():
    trusting, careful = plan(honest_minimum=3).privacy, plan(honest_minimum=2).privacy
    assert careful.node_noise_multiplier > trusting.node_noise_multiplier
    assert careful.noise_multiplier == trusting.noise_multiplier


def test_a_sum_of_shares_is_a_discrete_gaussian_to_any_accuracy():
    smallest = 0.3 * GRID / math.sqrt(1000)
    assert sum_of_gaussians_gap(smallest, 1000) == 0.0
    assert sum_of_gaussians_gap(1.0, 2) == pytest.approx(10 * math.exp(-(math.pi**2)))


def test_the_bound_on_the_gap_holds_where_it_can_be_seen():
    """Exact convolution of narrow shares against the discrete Gaussian of their variance."""
    support = np.arange(-80, 81)

    def mass(variance):
        found = np.exp(-(support**2) / (2 * variance))
        return found / found.sum()

    for sigma in (0.6, 0.8, 1.0):
        two = np.convolve(mass(sigma**2), mass(sigma**2), mode="same")
        inside = np.abs(support) <= 5
        gap = np.abs(np.log(two[inside] / mass(2 * sigma**2)[inside])).max()
        assert 1e-7 < gap <= sum_of_gaussians_gap(sigma, 2)


def test_three_drawn_shares_have_the_variance_of_the_whole():
    privacy = plan().privacy
    size = 100_000
    sigma = privacy.node_noise_multiplier * GRID
    total = sum(discrete_gaussian(sigma, size) for _ in range(3)) / GRID
    assert abs(total.var() / privacy.noise_multiplier**2 - 1) < 5.5 * np.sqrt(2 / size)
