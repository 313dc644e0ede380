"""One round as its members see it, signed: what is opened, and that it is the only such round.

A view names the campaign, plan and roster, the round, the model and the members U whose sum is
opened. A member signs one view a round, for good, and answers only a view that `threshold` members
have signed. Two views of one round would need 2 * threshold signatures of n members; every honest
member gives one, so with c others that is impossible while 2 * threshold > n + c. Then at most one
set U is ever opened for a round: of a member in U its self mask, of one outside U its pair masks,
never both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocols.canonical import canonical_json
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.masking.errors import MaskingMalformed, ViewRefused, ViewUnsupported
from protocols.masking.layout import Layout, Terms
from protocols.masking.roster import read_fields
from protocols.masking.seeds import round_context
from protocols.member_keys import hex32

VIEW_DOMAIN: Final = "mask-view"


@dataclass(frozen=True)
class View:
    """A round's view.

    Attributes:
        roster_sha256: of the layout.
        number: the round.
        model_sha256: of the model that the round's inputs were computed with.
        members: U, sorted.
    """

    campaign_id: str
    plan_sha256: bytes
    roster_sha256: bytes
    number: int
    model_sha256: bytes
    members: tuple[str, ...]

    def to_body(self) -> bytes:
        """RFC 8785 canonical JSON."""
        return canonical_json({
            "campaign_id": self.campaign_id,
            "plan": self.plan_sha256.hex(),
            "roster": self.roster_sha256.hex(),
            "round": self.number,
            "model": self.model_sha256.hex(),
            "members": list(self.members),
        })  # fmt: skip

    @classmethod
    def from_body(cls, body: bytes) -> "View":
        """Read it back.

        Raises:
            MaskingMalformed: its form is wrong.
        """
        value = read_fields(body, {"campaign_id", "plan", "roster", "round", "model", "members"})
        members, number = value["members"], value["round"]
        if not isinstance(members, list) or not all(isinstance(one, str) for one in members):
            raise MaskingMalformed("a view lists member ids")
        if sorted(set(members)) != members:
            raise MaskingMalformed("a view lists its members sorted, each once")
        if type(number) is not int or number < 0 or not isinstance(value["campaign_id"], str):
            raise MaskingMalformed("a view with a field of the wrong form")
        plan, roster, model = (hex32(value[name]) for name in ("plan", "roster", "model"))
        return cls(value["campaign_id"], plan, roster, number, model, tuple(members))

    @property
    def context(self) -> bytes:
        """What the round's masks are bound to."""
        return round_context(
            self.campaign_id,
            self.plan_sha256,
            self.roster_sha256,
            self.number,
            self.model_sha256,
        )

    def sign(self, key: SigningKey) -> bytes:
        """A member's signature under its view key."""
        return key.sign(VIEW_DOMAIN, self.to_body())


def check_view(view: View, terms: Terms, layout: Layout) -> None:
    """Refuse a view that is not of this campaign, or opens too little.

    Checks: 1. campaign, plan and roster; 2. its members mask here; 3. they are enough.

    Raises:
        ViewRefused: checks 1 or 2.
        CohortOfFew: check 3.
    """
    # 1. This campaign.
    ours = (terms.campaign_id, terms.plan_sha256, layout.sha256)
    if (view.campaign_id, view.plan_sha256, view.roster_sha256) != ours:
        raise ViewRefused("a view of another campaign, plan or roster")
    # 2. Its members.
    if not set(view.members).issubset(layout.dealers):
        raise ViewRefused("a view with members outside the roster")
    # 3. Enough.
    terms.require(len(view.members))


def check_signatures(
    view: View, signatures: Mapping[str, bytes], terms: Terms, layout: Layout
) -> None:
    """Make sure that enough of its members signed a view; each counts once.

    Raises:
        ViewUnsupported: fewer than the threshold.
    """
    body, good = view.to_body(), 0
    for member_id, signature in signatures.items():
        if member_id not in view.members:
            continue
        try:
            layout.graph.roster.view_key(member_id).verify(VIEW_DOMAIN, body, signature)
        except CredenceError:
            continue
        good += 1
        if good >= terms.threshold:
            return
    raise ViewUnsupported(f"{good} members signed the view, {terms.threshold} are needed")
