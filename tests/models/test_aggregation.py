"""Updates are checked before they are summed, and scaled by public constants."""

import numpy as np
import pytest

from models.aggregation import (
    UpdateImplausible,
    aggregate,
    aggregate_total,
    check_total,
    check_update,
)
from models.catalogue import load_default
from models.plan import LOSS_CAP
from models.privacy.noise import GRID, discrete_gaussian
from models.proposal import propose

PLAN = propose(load_default(), "c", ["bank-a", "bank-b"], rounds=10)
P = 500
SIGMA = PLAN.privacy.noise_multiplier * GRID


def test_the_gradient_is_the_sum_over_the_expected_batch():
    update = np.full(P + 1, GRID // 50, np.int64)
    result = aggregate([update, update], PLAN, [1000, 3000], P)
    batch = PLAN.privacy.sampling_rate * 4000
    expected = 2 * (GRID // 50) / GRID * PLAN.privacy.clip / batch
    np.testing.assert_allclose(result.gradient, expected)
    assert result.loss == pytest.approx(
        2 * (GRID // 50) / GRID / PLAN.privacy.loss_weight * LOSS_CAP / batch
    )
    noise = PLAN.privacy.noise_multiplier * PLAN.privacy.clip * np.sqrt(2) / batch
    assert result.noise == pytest.approx(noise)


def test_the_stated_noise_is_the_noise_that_is_there():
    updates = [discrete_gaussian(SIGMA, P + 1) for _ in range(2)]
    result = aggregate(updates, PLAN, [1000, 1000], P)
    assert abs(result.gradient.std() / result.noise - 1) < 6 / np.sqrt(2 * P)


@pytest.mark.parametrize(
    "update",
    [
        np.zeros(P, np.int64),
        np.zeros(P + 2, np.int64),
        np.zeros((P + 1, 1), np.int64),
        np.zeros(P + 1, np.int32),
        np.zeros(P + 1, np.float64),
        np.full(P + 1, 2**62, np.int64),
        np.full(P + 1, -(2**63), np.int64),
        np.full(P + 1, 100 * GRID, np.int64),
    ],
)
def test_an_implausible_update_is_refused_by_name(update):
    with pytest.raises(UpdateImplausible) as refusal:
        aggregate([np.zeros(P + 1, np.int64), update], PLAN, [1000, 1000], P)
    assert refusal.value.code == "update_implausible"


def test_the_largest_honest_update_passes():
    # Every row of a full sample pulls one way, and the noise pulls with it.
    rows = int(1.1 * 1000 * PLAN.privacy.sampling_rate + 60)
    update = discrete_gaussian(SIGMA, P + 1)
    update[0] += rows * GRID
    check_update(update, PLAN, 1000, P)


def test_a_round_without_updates_or_with_unequal_lists_is_refused():
    with pytest.raises(UpdateImplausible):
        aggregate([], PLAN, [], P)
    with pytest.raises(UpdateImplausible):
        aggregate([np.zeros(P + 1, np.int64)], PLAN, [10, 10], P)


def test_a_sum_of_unseen_parts_gives_the_same_step():
    updates = [discrete_gaussian(SIGMA, P + 1) for _ in range(2)]
    seen = aggregate(updates, PLAN, [1000, 3000], P)
    unseen = aggregate_total(updates[0] + updates[1], PLAN, [1000, 3000], P)
    np.testing.assert_array_equal(seen.gradient, unseen.gradient)
    assert (seen.loss, seen.noise) == (unseen.loss, unseen.noise)


def test_a_sum_longer_than_all_its_cohorts_allow_is_refused():
    total = sum(discrete_gaussian(SIGMA, P + 1) for _ in range(2))
    total[0] += 300 * GRID
    check_total(total, PLAN, [1000, 1000], P)
    total[0] += 1000 * GRID
    with pytest.raises(UpdateImplausible):
        check_total(total, PLAN, [1000, 1000], P)
    with pytest.raises(UpdateImplausible):
        aggregate_total(total, PLAN, [], P)


def test_shared_noise_is_stated_by_what_the_nodes_really_add():
    shared = propose(load_default(), "c", ["a", "b", "c"], rounds=10, mode="distributed", quorum=2)
    total = np.zeros(P + 1, np.int64)
    stated = aggregate_total(total, shared, [1000] * 3, P).noise
    batch = shared.privacy.sampling_rate * 3000
    whole = shared.privacy.noise_multiplier * shared.privacy.clip / batch
    assert stated == pytest.approx(whole * np.sqrt(3 / 2))
