"""What members send in a round, how lists of parts are joined, and what their functions are fed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.masking.errors import MaskingMalformed

HASH_BYTES: Final = 32
MAX_PARTS: Final = 8192


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

    def parts(self) -> bytes:
        """All but the vector and the context, joined."""
        return join([self.salt, self.self_commitment, *self.pair_commitments, *self.wrapped])

    @classmethod
    def from_parts(cls, octets: NDArray[np.uint8], context: bytes, parts: bytes) -> "Masked":
        """Read it back; `check` decides whether it is any good.

        Raises:
            MaskingMalformed: not an even number of parts.
        """
        found = split(parts)
        if len(found) < 2 or len(found) % 2:
            raise MaskingMalformed("an input with another number of parts")
        salt, own, *pairs = found
        half = len(pairs) // 2
        return cls(octets, context, salt, own, tuple(pairs[:half]), tuple(pairs[half:]))

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


def join(parts: Iterable[bytes]) -> bytes:
    """Parts as one byte string, each after its length in 4 bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def split(data: bytes) -> list[bytes]:
    """The parts of `join`.

    Raises:
        MaskingMalformed: a length does not fit, or there are too many.
    """
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data) or at + 4 > len(data) or len(parts) >= MAX_PARTS:
            raise MaskingMalformed("parts of a message do not fit their lengths")
        parts.append(data[at + 4 : end])
        at = end
    return parts


def join_map(values: Mapping[str, bytes]) -> bytes:
    """Values by member id, joined."""
    return join(part for name in sorted(values) for part in (name.encode(), values[name]))


def split_map(data: bytes) -> dict[str, bytes]:
    """The values of `join_map`.

    Raises:
        MaskingMalformed: ids out of order, twice or not text; no value for one.
    """
    parts = split(data)
    try:
        names = [part.decode("ascii") for part in parts[::2]]
    except UnicodeDecodeError as error:
        raise MaskingMalformed("a member id is ASCII text") from error
    if len(parts) % 2 or names != sorted(set(names)):
        raise MaskingMalformed("values by member id come sorted, each once")
    return dict(zip(names, parts[1::2], strict=True))
