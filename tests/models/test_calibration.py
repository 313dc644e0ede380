"""Calibration restores the level of the probability under noise and never turns the order."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from models.calibration import (
    BINS,
    CENTRES,
    EDGES,
    Calibration,
    bands,
    fit,
    sigmoid,
)
from models.evaluation import outcome_cells
from models.metrics import ece
from models.scale import BAND_FLOORS, Band, Scale, band_index
from protocols.errors import InvalidInput


def borrowers(seed, size):
    """Scores whose true log-odds is 0.6 z - 0.9."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(-0.5, 1.2, size)
    return raw, (rng.random(size) < sigmoid(0.6 * raw - 0.9)).astype(int)


def histogram(raw, labels, deviation):
    """People by score bin and outcome, with noise."""
    counts = np.bincount(outcome_cells(raw, labels, EDGES), minlength=BINS * 2).reshape(BINS, 2)
    return counts + np.random.default_rng(len(raw)).normal(0, deviation, (BINS, 2))


def test_a_wrong_level_and_slope_are_put_right_under_noise():
    parts = [borrowers(seed, 4000) for seed in range(3)]
    counts = sum(histogram(raw, y, 12.0) for raw, y in parts)
    calibration = fit(counts, 12.0 * math.sqrt(3))
    raw, labels = borrowers(9, 50_000)
    assert ece(labels, sigmoid(raw)) > 0.1
    # The noise leaves .016 on average and passes .045 about once in ten thousand runs.
    assert ece(labels, calibration.pd(raw)) < 0.045


@given(st.integers(0, 10_000), st.floats(0, 300))
def test_any_histogram_gives_an_increasing_curve(seed, noise):
    rng = np.random.default_rng(seed)
    counts = rng.normal(rng.uniform(-50, 300), noise + 1, (BINS, 2))
    calibration = fit(counts, noise)
    pd = calibration.pd(np.linspace(-8, 8, 200))
    assert np.isfinite(pd).all()
    assert (np.diff(pd) > 0).all() or pd[-1] > 1 - 1e-9 or pd[0] < 1e-9
    for band in bands(counts, calibration, Scale()):
        assert 0 <= band.pd <= 1
        assert 0 <= band.share <= 1


def test_without_subjects_it_is_the_identity():
    calibration = fit(np.zeros((BINS, 2)), 12.0)
    assert calibration == Calibration()
    raw = np.linspace(-4, 4, 9)
    np.testing.assert_allclose(calibration.pd(raw), sigmoid(raw))


@pytest.mark.parametrize("people", [200, 1500, 6000])
def test_the_curve_is_the_most_likely_one_also_where_noise_flattens_it(people):
    """Noise of 21 in a cell presses a slope against its bound in one fit of eight; an independent
    optimiser finds nothing more likely."""
    rng = np.random.default_rng(people)
    pressed = 0
    for _ in range(60):
        counts = table(rng.normal(-1.5, 1.1, people), rng) + rng.normal(0, 21.4, (BINS, 2))
        found = fit(counts, 21.4)
        parameters = np.array([found.shift, found.above, found.below])
        pressed += bool((parameters[1:] <= 0.05).any())
        at_best = minimize(
            unlikely, [0.0, 1.0, 1.0], args=(counts, 21.4), method="L-BFGS-B",
            bounds=[(-50, 50), (0.05, 10), (0.05, 10)],
        )  # fmt: skip
        assert unlikely(parameters, counts, 21.4) <= at_best.fun + 1e-6
    assert pressed


def table(raw, rng):
    """People of these scores by bin and outcome."""
    labels = (rng.random(len(raw)) < sigmoid(raw)).astype(int)
    return np.bincount(outcome_cells(raw, labels, EDGES), minlength=BINS * 2).reshape(BINS, 2)


def unlikely(parameters, counts, noise):
    """Minus the log-likelihood of the bins that stand out of the noise, with the ridge."""
    total = counts.sum(axis=1)
    used = total > max(2 * math.sqrt(2) * noise, 1.0)
    shift, above, below = parameters
    middle = CENTRES[used]
    z = shift + above * np.logaddexp(0, middle) - below * np.logaddexp(0, -middle)
    lost = total[used] * np.logaddexp(0, z) - counts[used, 1] * z
    return float(lost.sum()) + float(((parameters - np.array([0.0, 1.0, 1.0])) ** 2).sum())


def test_points_follow_the_scorecard_formula():
    scale = Scale()
    odds = np.array([15.0, 30.0, 7.5])
    assert scale.points(-np.log(odds)).tolist() == [660, 710, 610]
    assert scale.points(np.array([-50.0, 50.0])).tolist() == [850, 300]


def test_bands_cover_the_scale_and_get_riskier():
    counts = histogram(*borrowers(1, 20_000), 12.0)
    found = bands(counts, fit(counts, 12.0), Scale())
    assert [band.name for band in found] == [name for name, _ in BAND_FLOORS]
    pds = [band.pd for band in found]
    assert pds == sorted(pds)
    assert sum(band.share for band in found) == pytest.approx(1)


def test_a_score_is_in_the_band_whose_floor_it_reaches():
    floors = [740, 700, 500, 300]
    points = np.array([850, 740, 739, 500, 499, 300, 250])
    assert band_index(points, floors).tolist() == [0, 0, 1, 2, 3, 3, 3]


def test_calibration_scale_and_band_survive_json():
    calibration = Calibration(shift=-0.3, above=1.2, below=0.4)
    assert Calibration.from_json(calibration.to_json()) == calibration
    assert Scale.from_json(Scale().to_json()) == Scale()
    band = Band("A", 740, 0.01, 0.2)
    assert Band.from_json(band.to_json()) == band


def test_a_falling_calibration_is_refused():
    with pytest.raises(InvalidInput):
        Calibration.from_json(Calibration(above=-1.0).to_json())
    with pytest.raises(InvalidInput):
        Scale.from_json(Scale(low=900).to_json())


@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_the_interval_holds_the_true_curve_about_as_often_as_it_says(noise: float) -> None:
    """Over draws of people and of noise the PD behind a score lies inside at least nine in ten."""
    rng = np.random.default_rng(5)
    truth = Calibration(shift=-0.4, above=1.3, below=0.8)
    weight = np.exp(-((CENTRES + 1.5) ** 2) / 2)
    at = np.array([-3.0, -1.5, 0.0])
    inside = []
    for _ in range(60):
        total = rng.poisson(8000 * weight / weight.sum())
        bad = rng.binomial(total, truth.pd(CENTRES))
        counts = np.stack([total - bad, bad], axis=1) + rng.normal(0, noise, (BINS, 2))
        ends = fit(counts, noise).interval(at)
        assert ends is not None
        inside.append((ends[0] <= truth.pd(at)) & (truth.pd(at) <= ends[1]))
    assert np.mean(inside) > 0.9


def test_fewer_people_or_more_noise_make_the_interval_wider_and_it_travels() -> None:
    many = np.stack([np.full(BINS, 900.0), np.full(BINS, 100.0)], axis=1)
    at = np.array([-2.0])

    def width(counts, noise: float) -> float:
        low, high = fit(counts, noise).interval(at)
        return float(high[0] - low[0])

    assert width(many, 1.0) < width(many / 9, 1.0)
    assert width(many, 1.0) < width(many, 60.0)
    fitted = fit(many, 1.0)
    assert Calibration.from_json(fitted.to_json()) == fitted
    assert Calibration().interval(at) is None
    assert "deviations" not in Calibration().to_json()
    for bad in ([0.1] * (BINS - 1), [-0.1] * BINS):
        with pytest.raises(InvalidInput):
            Calibration.from_json(fitted.to_json() | {"deviations": bad})
