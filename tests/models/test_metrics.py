"""The measures agree with their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics import auc, brier, ece, ks, psi

PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=2, max_size=40)


def split(pairs):
    labels = np.array([label for label, _ in pairs])
    risk = np.array([risk for _, risk in pairs], float)
    return labels, risk


@given(PAIRS)
def test_auc_is_the_chance_that_a_bad_one_ranks_above_a_good_one(pairs):
    labels, risk = split(pairs)
    bad, good = risk[labels == 1], risk[labels == 0]
    if not bad.size or not good.size:
        assert math.isnan(auc(labels, risk))
        return
    wins = (bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()
    assert auc(labels, risk) == pytest.approx(wins)


@given(PAIRS)
def test_ks_is_the_widest_gap_of_the_two_distributions(pairs):
    labels, risk = split(pairs)
    bad, good = risk[labels == 1], risk[labels == 0]
    if not bad.size or not good.size:
        assert math.isnan(ks(labels, risk))
        return
    gap = max(abs((bad <= cut).mean() - (good <= cut).mean()) for cut in risk)
    assert ks(labels, risk) == pytest.approx(gap)


def test_brier_and_ece_of_known_cases():
    labels = np.array([0, 1, 0, 1])
    assert brier(labels, np.array([0.0, 1.0, 0.0, 1.0])) == 0
    assert brier(labels, np.full(4, 0.5)) == 0.25
    assert ece(labels, np.full(4, 0.5), bins=1) == 0
    assert ece(labels, np.full(4, 0.9), bins=1) == pytest.approx(0.4)
    assert math.isnan(ece(np.array([]), np.array([])))


def test_psi_is_zero_for_the_same_and_grows_with_drift():
    then = np.array([100, 200, 300])
    assert psi(then, then * 2) == pytest.approx(0)
    near, far = psi(then, np.array([110, 200, 290])), psi(then, np.array([300, 200, 100]))
    assert 0 < near < 0.1 < 0.25 < far
