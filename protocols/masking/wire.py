"""What members send in a round, and the inputs of their pseudorandom functions."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.masking.errors import MaskingMalformed

HASH_BYTES: Final = 32


@dataclass(frozen=True)
class Masked:
    """A member's input to a round.

    Attributes:
        octets: the masked vector, uint8[n, ring width].
        context: the round it is for.
        salt: that its self mask's seed was drawn with.
        self_commitment: to that seed.
        pair_commitments: to the pairs' seeds, in the order of the neighbours' ids.
        wrapped: the pairs' seeds, wrapped; same order.
    """

    octets: NDArray[np.uint8]
    context: bytes
    salt: bytes
    self_commitment: bytes
    pair_commitments: tuple[bytes, ...]
    wrapped: tuple[bytes, ...]

    def check(self, context: bytes, neighbours: int, shape: tuple[int, int]) -> None:
        """Refuse what no honest member sends in this round.

        Raises:
            MaskingMalformed: another round, length or number of neighbours.
        """
        if self.context != context:
            raise MaskingMalformed("an input of another round, model or roster")
        if self.octets.dtype != np.uint8 or self.octets.shape != shape:
            raise MaskingMalformed("a masked vector of another length")
        if len(self.pair_commitments) != neighbours or len(self.wrapped) != neighbours:
            raise MaskingMalformed("an input for another number of neighbours")
        parts = (self.salt, self.self_commitment, *self.pair_commitments, *self.wrapped)
        if any(len(part) != HASH_BYTES for part in parts):
            raise MaskingMalformed("an input with a part of the wrong length")


@dataclass(frozen=True)
class Unmasked:
    """A member's answer to a signed view.

    Attributes:
        seed: of its self mask.
        pairs: seeds with its neighbours outside the view, in the order of their ids.
    """

    seed: bytes
    pairs: tuple[bytes, ...]


def self_input(context: bytes, member_id: str, salt: bytes) -> bytes:
    """Where a member's function gives the seed of its self mask."""
    return b"self|" + context + salt + member_id.encode()


def pair_input(context: bytes, member_id: str, peer: str) -> bytes:
    """Where a member's function gives the pad over the seed of a pair."""
    return b"pair|" + context + f"{member_id}|{peer}".encode()
