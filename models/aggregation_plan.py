"""How a campaign's sums are taken: in clear, or masked so that nobody sees a part of them.

Room in the ring. A coordinate of one node's vector is a sum of at most `row_limit` rows of at most
`GRID` units each, plus discrete Gaussian noise of sigma = s * GRID with s the largest noise
multiplier of the plan. |noise| > 40 sigma has a chance below 2 exp(-800). So every coordinate is at
most `bound = GRID * (row_limit + 40 s)` in size, the sum of n nodes at most n times that, and
`ring_bits` must hold it with a bit to spare (`protocols.masking.ring.Ring.holds`). A node checks
its own vector against `bound` before it masks it.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from models.fields import Fields
from models.privacy.noise import GRID
from protocols.errors import InvalidInput
from protocols.masking.ring import MAX_BITS, MIN_BITS, Ring

NOISE_TAIL = 40
DEFAULT_ROWS = 2_000_000
RINGS = range(MIN_BITS, MAX_BITS + 1, 8)


@dataclass(frozen=True)
class AggregationPlan:
    """What a plan says of its sums.

    Attributes:
        threshold: members whose signatures make a round's view the only one; more than half. 0:
            sums are taken in clear, and the other fields are 0 too.
        ring_bits: sums are taken modulo 2 to this.
        row_limit: most rows that one node's vector may sum.
    """

    threshold: int = 0
    ring_bits: int = 0
    row_limit: int = 0

    @property
    def masked(self) -> bool:
        """Whether sums are masked."""
        return self.threshold > 0

    def holds(self, members: int, noise_multiplier: float) -> bool:
        """Whether sums in clear were asked for, or masked ones that are safe and fit the ring.

        Args:
            members: of the plan.
            noise_multiplier: the largest that one node adds.
        """
        if not self.masked:
            return (self.ring_bits, self.row_limit) == (0, 0)
        if not members < 2 * self.threshold <= 2 * members or self.ring_bits not in RINGS:
            return False
        bound = coordinate_bound(self.row_limit, noise_multiplier)
        return Ring(self.ring_bits).holds(members, bound)

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: object, error: type[InvalidInput]) -> "AggregationPlan":
        """Read within limits."""
        fields = Fields(body, "aggregation", error)
        result = cls(
            threshold=fields.integer("threshold", 0, 10_000),
            ring_bits=fields.integer("ring_bits", 0, MAX_BITS),
            row_limit=fields.integer("row_limit", 0, 10**9),
        )
        fields.done()
        return result

    @classmethod
    def for_members(
        cls, members: int, noise_multiplier: float, row_limit: int = DEFAULT_ROWS
    ) -> "AggregationPlan":
        """Masked, with the smallest threshold and ring that hold.

        Raises:
            InvalidInput: no ring does.
        """
        bound = coordinate_bound(row_limit, noise_multiplier)
        for bits in RINGS:
            if Ring(bits).holds(members, bound):
                return cls(members // 2 + 1, bits, row_limit)
        raise InvalidInput("no ring holds the sums of that many members and rows")


def coordinate_bound(row_limit: int, noise_multiplier: float) -> int:
    """Largest size of one coordinate of one node's vector, grid units."""
    return GRID * (row_limit + math.ceil(NOISE_TAIL * noise_multiplier))


IN_CLEAR = AggregationPlan()
