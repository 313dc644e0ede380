"""Who masks with whom in one campaign, once the roster, the graph and the dealers are fixed.

Three sets, each inside the one before: the roster announced keys; the graph stands over those that
also showed their part of the joint seed; the dealers among them gave out their shares, and only
they mask. A member that falls out later stays a dealer: it is absent, round by round.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.canonical import canonical_json, sha256
from protocols.masking.errors import CohortOfFew, MaskingMalformed
from protocols.masking.graph import holders_needed, neighbourhoods
from protocols.masking.ring import Ring
from protocols.masking.roster import Roster, Signed, joint_seed


@dataclass(frozen=True)
class Terms:
    """What the signed plan says of masking.

    Attributes:
        plan_sha256: of the plan's body.
        members: member ids of the plan.
        threshold: members whose signatures make a round's view the only one. More than half of
            the plan's members, so that no two views have it while all that sign are honest; with
            c members that sign anything, `2 * threshold - len(members) > c` is needed.
        quorum: fewest members whose sum may be opened.
        ring: where sums are computed.
        bound: largest size of one member's coordinate.
    """

    campaign_id: str
    plan_sha256: bytes
    members: tuple[str, ...]
    threshold: int
    quorum: int
    ring: Ring
    bound: int

    def __post_init__(self) -> None:
        if not len(self.members) < 2 * self.threshold <= 2 * len(self.members):
            raise MaskingMalformed("the threshold is more than half of the plan's members")
        if not self.ring.holds(len(self.members), self.bound):
            raise MaskingMalformed("the ring is too small for the sum of all members")

    @property
    def name(self) -> bytes:
        """SHA-256 that names the campaign and its plan."""
        return sha256(b"credence/1|masking|" + self.plan_sha256 + self.campaign_id.encode())

    @property
    def fewest(self) -> int:
        """Fewest members at every stage."""
        return max(self.threshold, self.quorum, 2)

    def require(self, count: int) -> None:
        """Refuse to go on with fewer than `fewest`.

        Raises:
            CohortOfFew: they are fewer.
        """
        if count < self.fewest:
            raise CohortOfFew(f"{count} members are fewer than {self.fewest}")


@dataclass(frozen=True)
class Graph:
    """Who holds shares of whom: over the members that showed their part of the joint seed."""

    roster: Roster
    ids: tuple[str, ...]
    seed: bytes
    needed: int
    _neighbours: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_neighbours", neighbourhoods(self.ids, self.seed))

    @classmethod
    def of(cls, terms: Terms, roster: Roster, reveals: Sequence[Signed]) -> "Graph":
        """The graph of verified parts of the joint seed.

        Raises:
            MaskingMalformed, SignatureInvalid: as `joint_seed`.
            CohortOfFew: too few showed their part.
        """
        ids, seed = joint_seed(roster, reveals)
        terms.require(len(ids))
        return cls(roster, ids, seed, holders_needed(len(ids), terms.threshold))

    def neighbours(self, member_id: str) -> tuple[str, ...]:
        """The other members that a member deals to, sorted."""
        return self._neighbours[member_id]

    def holders(self, dealer: str) -> tuple[str, ...]:
        """Who holds a share of a dealer's key: its neighbours and itself, sorted."""
        return tuple(sorted((dealer, *self._neighbours[dealer])))

    def index(self, dealer: str, holder: str) -> int:
        """The Shamir index of a holder, from 1.

        Raises:
            MaskingMalformed: it holds no share of that dealer's.
        """
        try:
            return self.holders(dealer).index(holder) + 1
        except (ValueError, KeyError) as error:
            raise MaskingMalformed("not a holder of that member's shares") from error


@dataclass(frozen=True)
class Layout:
    """The graph of those who mask: final for the campaign.

    Attributes:
        sha256: names the dealers; part of every round's context.
    """

    graph: Graph
    dealers: tuple[str, ...]
    sha256: bytes = field(init=False)
    _neighbours: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        dealers = set(self.dealers)
        if sorted(dealers) != list(self.dealers) or not dealers.issubset(self.graph.ids):
            raise MaskingMalformed("the dealers are members of the graph, sorted, each once")
        found = {
            one: tuple(peer for peer in self.graph.neighbours(one) if peer in dealers)
            for one in self.dealers
        }
        named = self.graph.seed + canonical_json(list(self.dealers))
        object.__setattr__(self, "_neighbours", found)
        object.__setattr__(self, "sha256", sha256(b"credence/1|mask-roster|" + named))

    def neighbours(self, member_id: str) -> tuple[str, ...]:
        """The dealers that a dealer masks with, sorted."""
        return self._neighbours[member_id]
