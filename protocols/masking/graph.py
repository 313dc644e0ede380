"""Who masks with whom: everybody, or in a large cohort a random regular graph of log n neighbours.

Above `COMPLETE` members each stands on a circle in an order that a joint seed decides and masks
with the k/2 next on either side (Bell et al. 2020, "Secure single-server aggregation with
(poly)logarithmic overhead"). The seed hashes what every member committed to before it saw another's
part: nobody places itself beside a victim.

How large k is: about 6 log2 n. A member is exposed when as many of its neighbours are corrupt as
evaluate its shares (more than half of the closed neighbourhood), and cannot be stood in for when
that many are absent. Neighbourhoods are uniform, so each chance is a
hypergeometric tail, at most exp(-0.22 k) when a fifth of the members is corrupt or absent (Chvatal
1979); `docs/adr/0006` tabulates the exact values.
"""

from collections.abc import Sequence
from typing import Final

from protocols.canonical import sha256

COMPLETE: Final = 30
MAX_DEGREE: Final = 60  # a closed neighbourhood holds at most 64 shares


def degree(members: int) -> int:
    """Neighbours of each of `members` members: all others up to 30, then about 6 log2(n), even."""
    if members <= COMPLETE:
        return max(0, members - 1)
    return min(6 * (members - 1).bit_length(), MAX_DEGREE, members - 1)


def neighbourhoods(members: Sequence[str], seed: bytes) -> dict[str, tuple[str, ...]]:
    """The neighbours of each member, sorted; never itself.

    Args:
        members: ids, each once.
        seed: the joint seed; not used in a complete graph.
    """
    k = degree(len(members))
    if k == len(members) - 1 or len(members) < 2:
        return {one: tuple(sorted(set(members) - {one})) for one in members}
    circle = sorted(members, key=lambda one: sha256(seed + one.encode()))
    size = len(circle)
    steps = [step for step in range(-(k // 2), k // 2 + 1) if step]
    return {
        one: tuple(sorted(circle[(at + step) % size] for step in steps))
        for at, one in enumerate(circle)
    }


def holders_needed(members: int, threshold: int) -> int:
    """Holders of one member's shares that it takes to evaluate in its place.

    In a complete graph the campaign's threshold; in a sparse one the same share of a closed
    neighbourhood, and always more than half of it.
    """
    holders = degree(members) + 1
    if holders >= members:
        return threshold
    return max(holders // 2 + 1, -(-holders * threshold // members))
