"""The noise has the distribution it claims and comes from the operating system."""

import numpy as np
import pytest

from models.privacy.counting import cohort_band, noisy_counts
from models.privacy.noise import GRID, Staircase, discrete_gaussian, poisson_sample
from protocols.errors import InvalidInput
from protocols.random_words import random_words


@pytest.mark.parametrize("sigma", [1.0, 2.7, 4.0, 9.3])
def test_draws_follow_the_discrete_gaussian(sigma):
    size = 400_000
    drawn = discrete_gaussian(sigma, size)
    support = np.arange(-int(12 * sigma), int(12 * sigma) + 1)
    mass = np.exp(-(support**2) / (2 * sigma**2))
    mass /= mass.sum()
    assert np.abs(drawn).max() <= support[-1]
    seen = np.bincount(drawn - support[0], minlength=support.size)
    used = size * mass > 20
    statistic = float((((seen - size * mass) ** 2) / (size * mass))[used].sum())
    freedom = int(used.sum())
    # Wilson-Hilferty: a sound sampler fails once in fifty million runs.
    z = ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / np.sqrt(2 / (9 * freedom))
    assert z < 5.5


@pytest.mark.parametrize("sigma", [3.3 * GRID, 0.3 * GRID, float(1 << 24), 2.0**40])
def test_wide_draws_have_the_right_moments_and_tails(sigma):
    size = 200_000
    z = discrete_gaussian(sigma, size) / sigma
    # Six figures, each within 5.5 deviations: 3e-7 in all.
    assert abs(z.mean()) < 5.5 / np.sqrt(size)
    assert abs(z.var() - 1) < 5.5 * np.sqrt(2 / size)
    assert abs((z**4).mean() - 3) < 5.5 * np.sqrt(96 / size)
    for bound, beyond in ((1.0, 0.317311), (2.0, 0.0455003), (3.0, 0.0026998)):
        spread = 5.5 * np.sqrt(beyond / size)
        assert abs((np.abs(z) > bound).mean() - beyond) < spread


def test_draws_of_every_size_come_whole():
    for size in (0, 1, 2, 17, 2822):
        assert discrete_gaussian(5.0, size).shape == (size,)
        assert discrete_gaussian(5.0, size).dtype == np.int64


def test_a_seed_of_numpy_does_not_repeat_the_noise():
    draws = []
    for _ in range(2):
        np.random.seed(0)
        draws.append(discrete_gaussian(1e7, 64))
    assert (draws[0] != draws[1]).any()
    assert (random_words(4) != random_words(4)).any()


@pytest.mark.parametrize("sigma", [0.0, 0.5, 2.0**41, float("nan"), float("inf")])
def test_a_scale_out_of_range_is_refused(sigma):
    with pytest.raises(InvalidInput):
        discrete_gaussian(sigma, 1)


def test_poisson_sampling_takes_each_row_on_its_own():
    rows, rate, runs = 2000, 0.2, 200
    taken = np.zeros(rows)
    sizes = []
    for _ in range(runs):
        chosen = poisson_sample(rows, rate)
        assert (np.diff(chosen) > 0).all()
        taken[chosen] += 1
        sizes.append(chosen.size)
    deviation = np.sqrt(rate * (1 - rate))
    assert abs(np.mean(sizes) - rows * rate) < 5.5 * deviation * np.sqrt(rows / runs)
    # A sample of fixed size would not vary; a Poisson sample does.
    assert 0.5 < np.std(sizes) / (deviation * np.sqrt(rows)) < 1.5
    # Of 2,000 binomial counts one lies further out than this with a chance of 7e-9.
    assert np.abs(taken / runs - rate).max() < 7.5 * deviation / np.sqrt(runs)


def test_a_rate_of_one_takes_everybody_and_no_row_is_fine():
    assert poisson_sample(5, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert poisson_sample(0, 0.5).size == 0
    with pytest.raises(InvalidInput):
        poisson_sample(5, 0.0)


def test_noisy_counts_stay_near_the_counts():
    counts = np.arange(60, dtype=np.int64).reshape(30, 2) * 100
    noisy = noisy_counts(counts, 12.0)
    assert noisy.shape == counts.shape
    off = (noisy - counts * GRID) / (12.0 * GRID)
    assert 0.5 < off.std() < 1.6


def test_a_cohort_is_told_as_a_noisy_band():
    bands = {cohort_band(4738, 5.0) for _ in range(50)}
    assert bands == {4700}
    assert cohort_band(0, 1.0) in range(10)
    assert cohort_band(10**6 + 5 * 10**4, 20.0) in {1_000_000, 1_100_000}


@pytest.mark.parametrize("sigma", [1.0, 2.7, 31.9, 32.1, 700.3])
def test_the_envelopes_own_arithmetic_gives_the_discrete_gaussian(sigma):
    """From the integers of the tables: the chance of a draw, times that of accepting it."""
    envelope = Staircase(sigma)
    capacity = 2**55
    chance = [0] * 512
    for column in range(512):
        own = int(envelope._threshold[column])
        chance[column] += own
        chance[int(envelope._other[column])] += capacity - own
    bins = len(envelope.mass)
    assert chance[:bins] == envelope.mass
    assert sum(chance) == 2**64
    width = 1 << envelope.bits
    y = np.arange(int(9 * sigma))
    start = y // width * width
    accepted = np.exp((start - y).astype(float) * (start + y) / (2 * sigma**2))
    accepted *= envelope.ratio[y // width]
    assert accepted.max() <= 1
    mass = np.array(envelope.mass, float)[y // width] / width * accepted
    wanted = np.exp(-((y / sigma) ** 2) / 2)
    np.testing.assert_allclose(mass / mass[0], wanted, rtol=2e-14)


def test_random_words_are_uniform_and_never_repeat():
    words = random_words(200_000)
    bits = np.unpackbits(words.view(np.uint8)).mean()
    assert abs(bits - 0.5) < 5.5 * 0.5 / np.sqrt(200_000 * 64)
    assert np.unique(words).size == words.size
    assert not np.isin(random_words(1000), words).any()
