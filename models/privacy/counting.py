"""Counts and histograms of people, released with noise.

One subject adds one to one count, so the L2 sensitivity is 1, whatever the number of cells.
"""

import numpy as np
from numpy.typing import NDArray

from models.privacy.noise import GRID, discrete_gaussian


def noisy_counts(counts: NDArray[np.int64], noise_multiplier: float) -> NDArray[np.int64]:
    """Counts with discrete Gaussian noise, in units of 1 / `GRID`.

    Args:
        counts: int64 of any shape, one cell per subject.
        noise_multiplier: standard deviation of the noise in subjects.
    """
    noise = discrete_gaussian(noise_multiplier * GRID, counts.size)
    return counts.astype(np.int64) * GRID + noise.reshape(counts.shape)


def cohort_band(rows: int, noise_multiplier: float) -> int:
    """What a node says of its cohort: a noisy count, rounded down to two digits.

    Returns:
        E.g. 4,700 for about 4,738 rows; 0 when the noisy count is below one.
    """
    noisy = int(noisy_counts(np.array([rows], np.int64), noise_multiplier)[0]) // GRID
    if noisy < 1:
        return 0
    step = int(10 ** max(len(str(noisy)) - 2, 0))
    return noisy // step * step
