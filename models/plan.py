"""The campaign plan: everything the parties agree on before the first round.

A plan is a signed document of kind "plan". Each node reads it with the limits below and refuses
what lies outside; nothing in a plan is code.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from models.aggregation_plan import IN_CLEAR, AggregationPlan, coordinate_bound
from models.evaluation_plan import MAX_SPREAD, MEASURE_NOTHING_APART, EvaluationPlan
from models.fields import Fields
from models.watch_plan import WatchPlan
from protocols.canonical import canonical_json, parse_json, sha256
from protocols.errors import InvalidInput, StateConflict

MAX_BYTES = 64 * 1024
MAX_HIDDEN = 256
MAX_ROUNDS = 10_000
MAX_MEMBERS = 1_000
# Nats; one row's loss counts up to this in the loss that is shown.
LOSS_CAP = 2.5
TrustMode = Literal["local", "distributed"]
CREDIT_SCORING = "credit_scoring"
_HEX64 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[a-z][a-z_]{0,39}")


class PlanInvalid(InvalidInput):
    """A campaign plan is malformed or outside the limits a node accepts."""

    code = "plan_invalid"
    next_step = "The coordinator must propose a plan within the limits of models/plan.py."


class CampaignExpired(StateConflict):
    """The campaign's own deadline has passed: nothing more is released for it or published."""

    code = "campaign_expired"
    next_step = "Propose a new campaign; give it a later deadline if it was too short."


@dataclass(frozen=True)
class Architecture:
    """Shape of the network and what is dropped while it learns.

    Attributes:
        hidden: tanh units of the deep part.
        block_dropout: chance that a whole block of a training row counts as missing.
        prior: hex SHA-256 of the public prior that training starts from (models/prior.py), or
            empty for none.
    """

    hidden: int = 16
    block_dropout: float = 0.15
    prior: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: object) -> "Architecture":
        """Read within limits."""
        fields = Fields(body, "architecture", PlanInvalid)
        result = cls(
            hidden=fields.integer("hidden", 1, MAX_HIDDEN),
            block_dropout=fields.number("block_dropout", 0.0, 0.9),
            prior=fields.possibly_empty_text("prior", 64),
        )
        fields.done()
        if result.prior and not _HEX64.fullmatch(result.prior):
            raise PlanInvalid("architecture: prior must be 64 hex digits or empty")
        return result


@dataclass(frozen=True)
class PrivacyPlan:
    """What protects a subject (add/remove one subject, one row each).

    Attributes:
        epsilon: ceiling over the campaign and its announced follow-up.
        delta: the delta it holds at.
        mode: "local": each node adds the full noise and trusts nobody. "distributed": each adds
            its share, and the guarantee is about sums that nobody sees the parts of.
        noise_multiplier: sigma of a round's noise over the L2 sensitivity: of one node's noise in
            `local`, of the noise of `honest_minimum` nodes together in `distributed`.
        sampling_rate: chance that a row is in a round (Poisson).
        clip: L2 bound of one row's gradient and loss together.
        loss_weight: share of `clip` that the loss coordinate may use (the gradient keeps the
            rest: the two bounds add in squares).
        tally_noise: noise multiplier of the tally that calibration and the model card are made of
            (models/evaluation.py), shared like the round's.
        count_noise: noise multiplier of the cohort count; every node adds all of it.
        follow_up_rounds: rounds kept in reserve for later small campaigns on the same people.
        honest_minimum: nodes whose noise is in every sum that is opened and unknown to whoever
            opens it: the nodes, less the dropouts that are tolerated, less those that may collude.
            1 in `local`.
    """

    epsilon: float
    delta: float
    mode: TrustMode
    noise_multiplier: float
    sampling_rate: float
    clip: float
    loss_weight: float
    tally_noise: float
    count_noise: float
    follow_up_rounds: int
    honest_minimum: int = 1

    @property
    def node_noise_multiplier(self) -> float:
        """What one node adds in a round: sigma over the L2 sensitivity."""
        return self.noise_multiplier / math.sqrt(self.honest_minimum)

    @property
    def largest_node_noise(self) -> float:
        """The largest noise of one node in one coordinate, over `GRID`."""
        return max(self.node_noise_multiplier, MAX_SPREAD * self.node_tally_noise)

    @property
    def node_tally_noise(self) -> float:
        """What one node adds to its tally."""
        return self.tally_noise / math.sqrt(self.honest_minimum)

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: object) -> "PrivacyPlan":
        """Read within limits."""
        fields = Fields(body, "privacy", PlanInvalid)
        mode = fields.text("mode", 16)
        if mode not in ("local", "distributed"):
            raise PlanInvalid("privacy: mode must be local or distributed")
        result = cls(
            mode="local" if mode == "local" else "distributed",
            epsilon=fields.number("epsilon", 0, 64, above=True),
            delta=fields.number("delta", 0, 1e-3, above=True),
            noise_multiplier=fields.number("noise_multiplier", 0.3, 1e4),
            sampling_rate=fields.number("sampling_rate", 0, 1, above=True),
            clip=fields.number("clip", 0, 1e3, above=True),
            loss_weight=fields.number("loss_weight", 0.01, 0.9),
            tally_noise=fields.number("tally_noise", 0.3, 1e4),
            count_noise=fields.number("count_noise", 0.3, 1e4),
            follow_up_rounds=fields.integer("follow_up_rounds", 0, MAX_ROUNDS),
            honest_minimum=fields.integer("honest_minimum", 1, MAX_MEMBERS),
        )
        fields.done()
        if (result.mode == "local") != (result.honest_minimum == 1):
            raise PlanInvalid("privacy: honest_minimum is 1 in local mode and more in distributed")
        return result


@dataclass(frozen=True)
class OptimiserPlan:
    """Settings of the coordinator's optimiser (see models/optimiser.py).

    Attributes:
        learning_rate: of the first round; it decays to zero along a cosine.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        weight_decay: decoupled, times the learning rate.
        average_from: share of the rounds after which weights are averaged.
    """

    learning_rate: float = 0.02
    beta1: float = 0.8
    beta2: float = 0.99
    weight_decay: float = 0.3
    average_from: float = 0.5

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: object) -> "OptimiserPlan":
        """Read within limits."""
        fields = Fields(body, "optimiser", PlanInvalid)
        result = cls(
            learning_rate=fields.number("learning_rate", 0, 10, above=True),
            beta1=fields.number("beta1", 0, 1, below=True),
            beta2=fields.number("beta2", 0, 1, below=True),
            weight_decay=fields.number("weight_decay", 0, 1),
            average_from=fields.number("average_from", 0, 1),
        )
        fields.done()
        return result


@dataclass(frozen=True)
class CampaignPlan:
    """One training campaign.

    Attributes:
        campaign_id: at most 40 characters.
        catalogue_version, catalogue_sha256: the catalogue it is for.
        rounds: DP steps.
        quorum: replies below which a round publishes nothing.
        round_deadline_s: how long a round waits.
        members: member ids that train.
        start_bundle: version of the bundle whose weights it starts from, or None.
        minimum_cohort: rows below which a node refuses to take part.
        seed: public seed of the first weights.
        aggregation: how sums are taken.
        purpose: what the model is for, one word; nodes allow some and refuse the others.
        deadline_at_ms: when the whole campaign is over, UTC milliseconds: from then on nothing is
            released for it and nothing of it is published; None: it has no end of its own.
        evaluation: what is measured of the model, and on whom.
        watch: what is looked at, in a plan that trains nobody: it has no rounds, starts from the
            bundle that is watched, and takes a tally of its own (models/watch_tally.py).
    """

    campaign_id: str
    catalogue_version: int
    catalogue_sha256: str
    architecture: Architecture
    rounds: int
    privacy: PrivacyPlan
    optimiser: OptimiserPlan
    quorum: int
    round_deadline_s: float
    members: tuple[str, ...]
    start_bundle: str | None
    minimum_cohort: int
    seed: int = 0
    aggregation: AggregationPlan = IN_CLEAR
    purpose: str = CREDIT_SCORING
    deadline_at_ms: int | None = None
    evaluation: EvaluationPlan = MEASURE_NOTHING_APART
    watch: WatchPlan | None = None

    def __post_init__(self) -> None:
        self._check_watch()
        if not _HEX64.fullmatch(self.catalogue_sha256):
            raise PlanInvalid("plan: catalogue_sha256 must be 64 hex digits")
        if not _WORD.fullmatch(self.purpose):
            raise PlanInvalid("plan: a purpose is one word, a-z and _")
        if len(set(self.members)) != len(self.members) or not self.members:
            raise PlanInvalid("plan: members must be named, each once")
        if self.quorum > len(self.members):
            raise PlanInvalid("plan: the quorum is larger than the list of members")
        if self.privacy.honest_minimum > self.quorum:
            raise PlanInvalid("plan: honest_minimum is larger than the quorum")
        if not self.aggregation.holds(len(self.members), self.privacy.largest_node_noise):
            raise PlanInvalid("plan: masking needs a majority as threshold and a ring with room")
        if self.aggregation.threshold > self.quorum:
            raise PlanInvalid("plan: the quorum is smaller than the threshold of masking")
        if self.privacy.mode == "distributed" and not self.aggregation.masked:
            raise PlanInvalid("plan: noise is shared only under masks")

    def _check_watch(self) -> None:
        if (self.watch is None) != (self.rounds > 0):
            raise PlanInvalid("plan: a watch has no rounds, and everything else has some")
        if self.watch is not None and (
            self.start_bundle is None
            or self.privacy.follow_up_rounds
            or self.evaluation != MEASURE_NOTHING_APART
        ):
            raise PlanInvalid("plan: a watch is of one bundle, and nothing follows it")

    @property
    def coordinate_bound(self) -> int:
        """Largest size of one coordinate of a masked vector, grid units."""
        return coordinate_bound(self.aggregation.row_limit, self.privacy.largest_node_noise)

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the canonical body."""
        return sha256(self.to_body()).hex()

    def require_time(self, now_ms: int) -> None:
        """Go on only before the campaign's own deadline.

        Raises:
            CampaignExpired: it has passed.
        """
        require_time(self.deadline_at_ms, now_ms)

    def follow_up(
        self, campaign_id: str, start_bundle: str, deadline_at_ms: int | None = None
    ) -> "CampaignPlan":
        """The announced small campaign that continues from a bundle of this one.

        It spends the reserve of this plan: same people, same ceiling, same noise. Its steps are
        small because the optimiser starts with no memory. It holds the same people out, and is
        compared with the bundle that it starts from.
        """
        if self.privacy.follow_up_rounds < 1:
            raise PlanInvalid("plan: no follow-up rounds were kept in reserve")
        optimiser = replace(
            self.optimiser, learning_rate=self.optimiser.learning_rate * 0.1, average_from=0.0
        )
        return replace(
            self,
            campaign_id=campaign_id,
            start_bundle=start_bundle,
            rounds=self.privacy.follow_up_rounds,
            privacy=replace(self.privacy, follow_up_rounds=0),
            optimiser=optimiser,
            deadline_at_ms=deadline_at_ms,
            evaluation=replace(
                self.evaluation,
                previous=start_bundle,
                previous_hidden=self.architecture.hidden,
            ),
        )

    def to_body(self) -> bytes:
        """The document body, RFC 8785 canonical JSON."""
        body = {
            "campaign_id": self.campaign_id,
            "catalogue_version": self.catalogue_version,
            "catalogue_sha256": self.catalogue_sha256,
            "architecture": self.architecture.to_json(),
            "rounds": self.rounds,
            "privacy": self.privacy.to_json(),
            "optimiser": self.optimiser.to_json(),
            "quorum": self.quorum,
            "round_deadline_s": self.round_deadline_s,
            "members": list(self.members),
            "start_bundle": self.start_bundle,
            "minimum_cohort": self.minimum_cohort,
            "seed": self.seed,
            "aggregation": self.aggregation.to_json(),
            "purpose": self.purpose,
            "deadline_at_ms": self.deadline_at_ms,
            "evaluation": self.evaluation.to_json(),
            "watch": None if self.watch is None else self.watch.to_json(),
        }
        return canonical_json(body)

    @classmethod
    def from_body(cls, body: bytes | Mapping[str, Any]) -> "CampaignPlan":
        """Read a body, bytes or already parsed, within limits.

        Raises:
            PlanInvalid: a field is missing, unknown or outside its range.
        """
        parsed = parse_json(body, max_bytes=MAX_BYTES) if isinstance(body, bytes) else body
        fields = Fields(parsed, "plan", PlanInvalid)
        plan = cls(
            campaign_id=fields.text("campaign_id", 40),
            catalogue_version=fields.integer("catalogue_version", 1, 2**31 - 1),
            catalogue_sha256=fields.text("catalogue_sha256", 64),
            architecture=Architecture.from_json(fields.raw("architecture")),
            rounds=fields.integer("rounds", 0, MAX_ROUNDS),
            privacy=PrivacyPlan.from_json(fields.raw("privacy")),
            optimiser=OptimiserPlan.from_json(fields.raw("optimiser")),
            quorum=fields.integer("quorum", 1, MAX_MEMBERS),
            round_deadline_s=fields.number("round_deadline_s", 0, 3600, above=True),
            members=tuple(fields.texts("members", MAX_MEMBERS, 64)),
            start_bundle=fields.optional_text("start_bundle", 40),
            minimum_cohort=fields.integer("minimum_cohort", 1, 10**9),
            seed=fields.integer("seed", 0, 2**53 - 1),
            aggregation=AggregationPlan.from_json(fields.raw("aggregation"), PlanInvalid),
            purpose=fields.text("purpose", 40),
            deadline_at_ms=fields.optional_integer("deadline_at_ms", 1, 2**53 - 1),
            evaluation=EvaluationPlan.from_json(fields.raw("evaluation"), PlanInvalid),
            watch=WatchPlan.from_json(fields.raw("watch"), PlanInvalid),
        )
        fields.done()
        return plan


def require_time(deadline_at_ms: int | None, now_ms: int) -> None:
    """Go on only before a campaign's deadline; None: it has none.

    Raises:
        CampaignExpired: it has passed.
    """
    if deadline_at_ms is not None and now_ms >= deadline_at_ms:
        raise CampaignExpired("the campaign's deadline has passed")
