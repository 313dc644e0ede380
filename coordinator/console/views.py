"""What the console shows, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.membership import MemberView
from coordinator.storage.campaigns import MemberRow, RoundRow
from coordinator.storage.releases import MoveRow
from models.card import ModelCard
from models.plan import CampaignPlan

DAY_MS = 86_400_000
# Members fetch the directory at least every ten seconds.
SILENT_MS = 60_000
CERTIFICATE_WARNING_MS = 14 * DAY_MS


@dataclass(frozen=True, slots=True)
class MemberLine:
    """One member.

    Attributes:
        facts: as the directory and the coordinator know it.
        online: whether it called within the last minute.
        certificate_days: whole days left of its certificate, below zero when it is over.
        licence_days: whole days left of its licence; None: it does not end.
    """

    facts: MemberView
    online: bool
    certificate_days: int
    licence_days: int | None

    @property
    def silent(self) -> bool:
        """Whether it ought to be heard of and is not."""
        return self.facts.status == "active" and not self.online


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """One campaign in a list.

    Attributes:
        plan: what was agreed.
        state: see `coordinator.campaigns`.
        detail: why it ended or waits.
        rounds_done: completed rounds.
    """

    plan: CampaignPlan
    state: str
    detail: str
    rounds_done: int
    bundle_version: str | None
    created_at_ms: int
    finished_at_ms: int | None

    @property
    def campaign_id(self) -> str:
        """Its id."""
        return self.plan.campaign_id


@dataclass(frozen=True, slots=True)
class CampaignPage:
    """One campaign with its rounds and the members' answers."""

    line: CampaignLine
    rounds: tuple[RoundRow, ...]
    answers: tuple[MemberRow, ...]


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One published model version.

    Attributes:
        standing: what part it plays; see `coordinator.releases`.
        answered_by: members that say they answer with it.
        moves: how it came to play that part, the oldest first.
        figures: the card's private figures by name (loss, auc, ks, ...).
        intervals: (low, high) of those figures that the card gives an interval for.
        card: what it says beside them in words, where it does not read as a card of this release.
        sheet: the card, where it does.
        members: who trained.
        epsilon: spent by each node on its campaign, at `delta`.
    """

    version: str
    standing: str
    answered_by: tuple[str, ...]
    moves: tuple[MoveRow, ...]
    campaign_id: str
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    card: Mapping[str, str]
    sheet: ModelCard | None
    members: tuple[str, ...]
    rounds: int
    epsilon: float
    delta: float
    mode: str
    catalogue_version: int
    key_id: str
    tensor_bytes: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class NodeEpsilon:
    """The most that a node can have spent on the campaigns it accepted.

    Attributes:
        promised: under the plans' own assumption.
        alone: by the node's own noise, against all other parties together.
    """

    member_id: str
    promised: float
    alone: float


@dataclass(frozen=True, slots=True)
class Privacy:
    """Epsilon of every node that has taken part.

    Attributes:
        nodes: by member id.
        ceiling: of the newest plan.
        delta: where all of it is read.
        reported: the largest ledger that a node has said it has, or None.
        mode, honest_minimum: of the newest plan.
    """

    nodes: tuple[NodeEpsilon, ...]
    ceiling: float
    delta: float
    reported: float | None
    mode: str
    honest_minimum: int


@dataclass(frozen=True, slots=True)
class CeremonyLine:
    """One key ceremony; `posted` counts the board's entries by round."""

    ceremony_id: str
    epoch: int
    state: str
    detail: str
    posted: Mapping[str, int]
    deadline_ms: int
    created_at_ms: int
    finished_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Carried:
    """Calls the relay carried: how many, and sealed bytes both ways together."""

    calls: int = 0
    sealed_bytes: int = 0

    def plus(self, calls: int, sealed_bytes: int) -> "Carried":
        """With so much more."""
        return Carried(self.calls + calls, self.sealed_bytes + sealed_bytes)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the relay carried.

    Attributes:
        hours: the last 24 hours, the oldest first: (start in UTC milliseconds, what).
        pairs: by (caller, callee) over these hours.
    """

    hours: tuple[tuple[int, Carried], ...]
    pairs: Mapping[tuple[str, str], Carried]

    @property
    def whole(self) -> Carried:
        """All of it."""
        total = Carried()
        for _, one in self.hours:
            total = total.plus(one.calls, one.sealed_bytes)
        return total


@dataclass(frozen=True, slots=True)
class Alert:
    """Something an operator should look at.

    Attributes:
        kind: which of `coordinator.console.alerts`.
        tone: `warn` or `danger`.
        about: member id, campaign id, model version or ceremony id.
        number: days left, minutes of silence, a PSI; None where there is none.
        detail: in the words of whoever noted it.
    """

    kind: str
    tone: str
    about: str
    number: float | None = None
    detail: str = ""
