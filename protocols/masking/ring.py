"""Vectors of integers modulo 2^k, and their bytes.

Sums are computed in 64-bit words, which wrap modulo 2^64; 2^k divides 2^64, so that taking the low
k bits at the end gives the sum modulo 2^k. A signed integer in [-2^(k-1), 2^(k-1)) comes back as it
went in (two's complement). What a sum of several needs to come back: see `Ring.holds`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.errors import InvalidInput, Malformed

Words = NDArray[np.uint64]
MIN_BITS: Final = 16
MAX_BITS: Final = 64


class RingOverflow(InvalidInput):
    """A vector has a coordinate larger than its share of the ring."""

    code = "ring_overflow"
    next_step = "Propose a plan with a larger row limit; nothing has left this node."


@dataclass(frozen=True)
class Ring:
    """The integers modulo 2^bits; `bits` is a multiple of 8 from 16 to 64."""

    bits: int

    def __post_init__(self) -> None:
        if self.bits % 8 or not MIN_BITS <= self.bits <= MAX_BITS:
            raise InvalidInput(f"a ring has a multiple of 8 bits, {MIN_BITS} to {MAX_BITS}")

    @property
    def width(self) -> int:
        """Bytes of one integer."""
        return self.bits // 8

    def holds(self, terms: int, bound: int) -> bool:
        """Whether a sum of `terms` integers up to `bound` in size comes back, with a bit to spare.

        |sum| <= terms * bound < 2^(bits - 2) lies well inside [-2^(bits-1), 2^(bits-1)): no sum
        wraps, and one that an offender pushed out of the lower half is seen to be too large.
        """
        return terms * bound < 1 << (self.bits - 2)

    def encode(self, values: NDArray[np.int64], bound: int) -> Words:
        """Signed integers as ring elements.

        Raises:
            RingOverflow: one is larger in size than `bound`.
        """
        if values.size and (int(values.max()) > bound or int(values.min()) < -bound):
            raise RingOverflow("a coordinate is larger than the ring has room for")
        return values.astype(np.uint64)

    def decode(self, words: Words) -> NDArray[np.int64]:
        """The signed integers that ring elements stand for."""
        shift = np.uint64(MAX_BITS - self.bits)
        return (words << shift).view(np.int64) >> np.int64(MAX_BITS - self.bits)

    def pack(self, words: Words) -> NDArray[np.uint8]:
        """Ring elements as little-endian bytes, uint8[n, width]."""
        octets = np.ascontiguousarray(words, "<u8").view(np.uint8).reshape(-1, 8)
        return np.ascontiguousarray(octets[:, : self.width])

    def unpack(self, octets: NDArray[np.uint8]) -> Words:
        """Ring elements of `pack`.

        Raises:
            Malformed: another shape or type.
        """
        if octets.dtype != np.uint8 or octets.ndim != 2 or octets.shape[1] != self.width:
            raise Malformed("a masked vector has another shape than the ring's")
        wide = np.zeros((len(octets), 8), np.uint8)
        wide[:, : self.width] = octets
        return wide.view("<u8").reshape(-1).astype(np.uint64)
