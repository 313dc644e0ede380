"""Discrete Gaussian noise and Poisson sampling from a CSPRNG.

The sampler draws by rejection, as that of Canonne, Kamath and Steinke 2020, but from a closer
envelope: a staircase of bins 2^b wide, b chosen so that a bin is 1/32 to 1/16 of sigma, each as
high as the density at its end nearer to zero. A bin is drawn with an exactly known probability
T_j / 2^64 (Walker's alias method on integers), a place in it and a sign from exact bits, and it is
accepted with probability exp(-(y^2 - start^2) / (2 sigma^2)) * h_j N / T_j, where h_j is the bin's
height and N makes that at most 1: how T_j was rounded does not matter.

How exact it is. Everything is exact but that acceptance probability, a float64 against 64 random
bits: the chance of a value is off by a factor 1 +- 2e-15 within 9 sigma, and by 2^-62 in total
beyond. Accounting uses the continuous Gaussian: rounded to the grid it is post-processing of a
Gaussian mechanism, and its point masses differ from the discrete Gaussian's by a factor of at most
1 +- (9^2 + 1) / (24 sigma^2), 2.2e-12 at the smallest sigma of a sum that a plan may ask for (.3
`GRID`), with less than 1e-18 beyond 9 sigma. A sum of up to 100 shares adds 100 of the first factor
and nothing else (see `privacy/guarantees.py`). Releasing N coordinates then adds at most 5e-12 N to
epsilon and (1 + e^epsilon) 100 * 2^-60 N to delta. `GRID_EPSILON` and `GRID_DELTA_SHARE` in the
accountant pay for N = 4 million at that smallest sigma, and for 10 million at a noise multiplier
of 2.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from protocols.errors import InvalidInput
from protocols.random_words import random_words

# One sensitivity unit (the clip bound, one subject of a count) in grid units.
GRID = 1 << 22

_COLUMNS = 512  # of the alias table
_COIN_BITS = 55  # 64 bits less those that choose a column
_REACH = 12.0  # sigmas; less than 1e-32 lies beyond


def poisson_sample(rows: int, rate: float) -> NDArray[np.int64]:
    """Indices of rows that are in, each on its own with probability `rate` (to 2^-53)."""
    if not 0 < rate <= 1:
        raise InvalidInput("a sampling rate lies in (0, 1]")
    if rate == 1:
        return np.arange(rows)
    return np.flatnonzero(random_words(rows) < np.uint64(int(rate * 2.0**64)))


def discrete_gaussian(sigma: float, size: int) -> NDArray[np.int64]:
    """`size` independent draws with P(y) proportional to exp(-y^2 / (2 sigma^2)).

    Args:
        sigma: scale in grid units, 1 to 2^40.
        size: number of draws.
    """
    return _staircase(float(sigma)).draw(size)


class Staircase:
    """The envelope of one sigma.

    Args:
        sigma: scale in grid units, 1 to 2^40.
    """

    def __init__(self, sigma: float) -> None:
        if not 1 <= sigma <= 2.0**40:
            raise InvalidInput("sigma lies between 1 and 2^40 grid units")
        self.sigma = sigma
        self.bits = max(0, math.floor(math.log2(sigma)) - 4)
        bins = math.ceil(_REACH * sigma / (1 << self.bits))
        start = np.arange(bins, dtype=np.float64) * float(1 << self.bits)
        height = np.exp(-((start / sigma) ** 2) / 2)
        # A little below 2^64, so that the heights, rounded up, leave room.
        self.norm = (2.0**64 - 2.0**40) / float(height.sum())
        self.mass = [int(h * self.norm) + 1 for h in height]
        self.ratio = np.append(height * self.norm / np.array(self.mass, np.float64), 0.0)
        # The rest of 2^64 is a bin of its own that is always refused.
        self._threshold, self._other = _alias([*self.mass, 2**64 - sum(self.mass)])

    def draw(self, size: int) -> NDArray[np.int64]:
        """`size` independent draws."""
        parts: list[NDArray[np.int64]] = []
        missing = size
        while missing > 0:
            # 95 % or more are accepted.
            parts.append(self._accepted(int(missing * 1.06) + 16)[:missing])
            missing -= parts[-1].size
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])

    def _accepted(self, proposals: int) -> NDArray[np.int64]:
        first, second, third = random_words(3 * proposals).reshape(3, proposals)
        column = (first & np.uint64(_COLUMNS - 1)).astype(np.int64)
        own = (first >> np.uint64(64 - _COIN_BITS)) < self._threshold[column]
        chosen = np.where(own, column, self._other[column])
        offset = (second & np.uint64((1 << self.bits) - 1)).astype(np.int64)
        negative = (second >> np.uint64(63)).astype(bool)
        start = chosen << self.bits
        # y^2 - start^2, without cancellation.
        beyond = offset.astype(np.float64) * (2.0 * start + offset)
        chance = np.exp(beyond * (-0.5 / self.sigma**2)) * self.ratio[chosen]
        kept = third < (np.minimum(chance, 1.0 - 2.0**-53) * 2.0**64).astype(np.uint64)
        size = start + offset
        kept &= ~(negative & (size == 0))
        drawn: NDArray[np.int64] = np.where(negative, -size, size)[kept]
        return drawn


@lru_cache(maxsize=16)
def _staircase(sigma: float) -> Staircase:
    """The envelope, which depends on nothing but sigma."""
    return Staircase(sigma)


def _alias(mass: list[int]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Walker's tables on integers that sum to 2^64 exactly.

    Column i stands for bin i below its threshold and for its other bin above.
    """
    capacity = 1 << _COIN_BITS
    left = mass + [0] * (_COLUMNS - len(mass))
    threshold, other = [capacity] * _COLUMNS, list(range(_COLUMNS))
    small = [i for i, m in enumerate(left) if m < capacity]
    large = [i for i, m in enumerate(left) if m >= capacity]
    while small:
        low, high = small.pop(), large[-1]
        threshold[low], other[low] = left[low], high
        left[high] -= capacity - left[low]
        if left[high] < capacity:
            small.append(large.pop())
    return np.array(threshold, np.uint64), np.array(other, np.int64)
