"""Discrete Gaussian noise and Poisson sampling from the operating system's CSPRNG.

The sampler is that of Canonne, Kamath and Steinke 2020 (algorithms 1 to 3), vectorised: discrete
Laplace proposals on a power-of-two scale, accepted with exp(-(|y| - sigma^2/t)^2 / (2 sigma^2)).

How exact it is. Uniform integers and signs are exact; acceptance probabilities are float64 against
64 random bits: the chance of a value is off by a factor 1 +- 3e-14 within 12 sigma, and by 2^-62
in total. Accounting uses the continuous Gaussian: rounded to the grid it is post-processing of a
Gaussian mechanism, and its point masses differ from the discrete Gaussian's by a factor of at most
1 +- (12^2 + 1) / (24 sigma^2), 6e-12 at the smallest sigma that a plan may ask for (2^20), with
less than 1e-32 beyond 12 sigma. Releasing N coordinates then adds at most 1.3e-11 N to epsilon and
(1 + e^epsilon) 2^-61 N to delta. `GRID_EPSILON` and `GRID_DELTA_SHARE` in the accountant pay for
N = 1.5 million at the smallest sigma, and for more than 100 million at a noise multiplier of 2.
"""

import math
import os
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from protocols.errors import InvalidInput

# One sensitivity unit (the clip bound, one subject of a count) in grid units.
GRID = 1 << 22

# P(V <= k) = 1 - e^-(k+1), k = 0..43, in 64-bit fixed point; what lies beyond is below 2^-63.
with localcontext() as _context:
    _context.prec = 40
    _GEOMETRIC = np.array(
        [int((1 - Decimal(-(k + 1)).exp()) * 2**64) for k in range(44)], dtype=np.uint64
    )


def random_words(size: int) -> NDArray[np.uint64]:
    """`size` uniform 64-bit words from os.urandom."""
    return np.frombuffer(os.urandom(8 * size), np.uint64)


def poisson_sample(rows: int, rate: float) -> NDArray[np.int64]:
    """Indices of rows that are in, each on its own with probability `rate` (to 2^-53)."""
    if not 0 < rate <= 1:
        raise InvalidInput("a sampling rate lies in (0, 1]")
    if rate == 1:
        return np.arange(rows)
    return np.flatnonzero(_bernoulli(np.full(rows, rate)))


def discrete_gaussian(sigma: float, size: int) -> NDArray[np.int64]:
    """`size` independent draws with P(y) proportional to exp(-y^2 / (2 sigma^2)).

    Args:
        sigma: scale in grid units, 1 to 2^40.
        size: number of draws.
    """
    if not 1 <= sigma <= 2.0**40:
        raise InvalidInput("sigma lies between 1 and 2^40 grid units")
    drawn = np.empty(0, np.int64)
    while drawn.size < size:
        # Just over half of the proposals are accepted at the worst scale.
        proposals = int((size - drawn.size) * 2.2) + 16
        drawn = np.concatenate([drawn, _accepted(sigma, proposals)])
    return drawn[:size]


def _accepted(sigma: float, proposals: int) -> NDArray[np.int64]:
    """The accepted ones of some discrete Laplace proposals."""
    bits = math.ceil(math.log2(sigma))
    scale = float(1 << bits)
    words = random_words(proposals)
    low = (words >> np.uint64(1)) & np.uint64((1 << bits) - 1)
    negative = (words & np.uint64(1)).astype(bool)
    kept = _bernoulli(np.exp(-low.astype(np.float64) / scale))
    high = np.searchsorted(_GEOMETRIC, random_words(proposals), side="right")
    size = low.astype(np.int64) + (high << bits)
    distance = size - sigma * (sigma / scale)
    kept &= _bernoulli(np.exp(-(distance**2) / (2 * sigma * sigma)))
    kept &= ~(negative & (size == 0))
    return np.where(negative, -size, size)[kept]


def _bernoulli(probability: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Independent coins; a probability of 1 always lands."""
    threshold = np.minimum(probability, 1.0 - 2.0**-53) * 2.0**64
    coins = random_words(probability.size) < threshold.astype(np.uint64)
    return coins | (probability >= 1.0)
