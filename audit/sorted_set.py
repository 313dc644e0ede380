"""A set as the Merkle tree (RFC 9162) of its sorted members, and proofs that one is not in it.

Where members stand in order, what lies between two neighbours is nothing: two adjacent leaves, one
below and one above, show that everything between them is absent. At an end one leaf is enough.
`audit/verifier/absence.py` checks.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.merkle import EMPTY_ROOT, Frontier, inclusion_proof, leaf_hash, node_hash
from protocols.errors import StateConflict


class MemberPresent(StateConflict):
    """What was to be shown absent is in the set."""

    code = "member_present"
    next_step = "Look at the round: it drew from a set that has this consent in it."


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A member with its place and its way to the root.

    Attributes:
        index: its place in order.
        member: 32 bytes.
        path: inclusion proof, its sibling first.
    """

    index: int
    member: bytes
    path: tuple[bytes, ...]

    def to_json(self) -> dict[str, Any]:
        """As the verifier reads it."""
        return {
            "index": self.index,
            "member": self.member.hex(),
            "path": [one.hex() for one in self.path],
        }


@dataclass(frozen=True, slots=True)
class Absence:
    """The neighbours between which a member would stand; None: beyond an end."""

    below: Neighbour | None
    above: Neighbour | None

    def to_json(self) -> dict[str, Any]:
        """As the verifier reads it."""
        return {
            "below": None if self.below is None else self.below.to_json(),
            "above": None if self.above is None else self.above.to_json(),
        }


class SortedSet:
    """A set of byte strings of 32 bytes each."""

    def __init__(self, members: Sequence[bytes]) -> None:
        """Take `members`, sorted, each once."""
        self._members = members
        self._levels = [[leaf_hash(one) for one in members]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            pairs = zip(below[::2], below[1::2], strict=False)
            self._levels.append([node_hash(left, right) for left, right in pairs])

    @property
    def root(self) -> bytes:
        """Root of the tree over the members in order."""
        if not self._members:
            return EMPTY_ROOT
        return Frontier().extend(self._levels[0]).root()

    def prove_absent(self, wanted: bytes) -> Absence:
        """Show that `wanted` is no member.

        Raises:
            MemberPresent: it is one.
        """
        at = bisect_left(self._members, wanted)
        if at < len(self._members) and self._members[at] == wanted:
            raise MemberPresent("the set has this member")
        below = self._neighbour(at - 1) if at > 0 else None
        above = self._neighbour(at) if at < len(self._members) else None
        return Absence(below, above)

    def _neighbour(self, index: int) -> Neighbour:
        path = inclusion_proof(index, len(self._members), lambda level, at: self._levels[level][at])
        return Neighbour(index, self._members[index], tuple(path))
