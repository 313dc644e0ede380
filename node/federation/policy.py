"""This node's own acceptance of a campaign plan. The coordinator proposes; the node decides.

A plan is accepted only when, in this order:
  1. it is signed by the network's directory key, as a document of kind "plan";
  2. it reads within the limits of models/plan.py;
  3. it names this node, and its deadline has not passed;
  4. it is for the signal catalogue in force here, by version and hash;
  5. its purpose is one that this node's operator allows, and so is its network: the kind, and
     how large it is;
  6. enough members take part, no round counts with fewer than this node demands, and sums are
     masked unless this node lets its part be seen;
  7. it asks for no more epsilon, and no larger delta, than this node's limits;
  8. its noise really keeps that epsilon, follow-up included, by this node's own accounting, and
     this node's noise alone keeps the ceiling set for that;
  9. together with everything charged before, it stays within this node's budget;
 10. the cohort, counted with noise, is at least the plan's and this node's minimum, and holds
     people of both outcomes.
1 to 8 are `review`; 9 and 10 need the ledger and stand in `node.federation.trainer`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from models.catalogue import Catalogue
from models.plan import CREDIT_SCORING, CampaignPlan
from models.privacy.accountant import Accountant
from models.privacy.charge import campaign_charges
from protocols.canonical import sha256
from protocols.documents import Document, verify_document
from protocols.errors import CredenceError
from protocols.keys import VerifyKey

# Two sides may sum the same losses in another order.
EPSILON_TOLERANCE = 1e-6
WIDE_DEEP = "wide_deep"
WIDE_DEEP_PRIOR = "wide_deep_prior"


class PlanRefused(CredenceError):
    """This node takes no part in the campaign."""

    code = "plan_refused"
    category = "forbidden"
    next_step = "Propose a plan within the limits of this node's operator."


class PlanNotForUs(PlanRefused):
    """The plan names other members only."""

    code = "plan_not_for_us"


class CatalogueUnknown(PlanRefused):
    """The plan is for another signal catalogue than the one in force here."""

    code = "catalogue_unknown"
    next_step = "Wait until the node has the newest catalogue, then propose again."


class ArchitectureRefused(PlanRefused):
    """The plan's network is larger, or of another kind, than this node allows."""

    code = "architecture_refused"


class PurposeRefused(PlanRefused):
    """The plan's model is for something that this node's operator does not allow."""

    code = "purpose_refused"


class TooFewMembers(PlanRefused):
    """The plan lets a round count with fewer members than this node demands."""

    code = "too_few_members"


class PlanNotMasked(PlanRefused):
    """The plan's sums are taken in clear: the coordinator would see this node's part."""

    code = "plan_not_masked"
    next_step = "Propose a plan with secure aggregation."


class EpsilonAboveLimit(PlanRefused):
    """The plan asks for more epsilon or a larger delta than this node allows."""

    code = "epsilon_above_limit"


class PrivacyPlanInconsistent(PlanRefused):
    """The plan's noise does not keep the epsilon it promises."""

    code = "privacy_plan_inconsistent"
    next_step = "The coordinator's accounting is wrong or dishonest: report it to its operator."


class CohortTooSmall(PlanRefused):
    """Fewer consented subjects than the minimum, or none of one of the two outcomes."""

    code = "cohort_too_small"


class LabelOneClass(CohortTooSmall):
    """All consented subjects have the same outcome.

    This code stands in this node's log. The coordinator is told `cohort_too_small`, after the same
    charged count: that nobody here defaulted is about people, and is not said.
    """

    code = "label_one_class"
    next_step = "Wait for outcomes of both kinds, or for more consents."


@dataclass(frozen=True)
class Limits:
    """What this node's operator allows.

    Attributes:
        max_epsilon, delta: budget of the population over all campaigns.
        minimum_cohort: fewest consented subjects, by the noised count.
        minimum_quorum: fewest members that must be in every round.
        max_hidden: largest hidden layer.
        architectures: kinds of network.
        purposes: what a model may be for.
        max_epsilon_alone: ceiling by this node's own noise alone; None: none.
        masked_only: whether only masked sums are taken part in.
    """

    max_epsilon: float
    delta: float
    minimum_cohort: int
    minimum_quorum: int = 2
    max_hidden: int = 128
    architectures: tuple[str, ...] = (WIDE_DEEP, WIDE_DEEP_PRIOR)
    purposes: tuple[str, ...] = (CREDIT_SCORING,)
    max_epsilon_alone: float | None = None
    masked_only: bool = True


@dataclass(frozen=True)
class Reviewed:
    """A plan that passed checks 1 to 8."""

    plan: CampaignPlan
    body: bytes
    sha256: bytes


class TrainingPolicy:
    """Checks 1 to 8 of the module's list.

    Args:
        member_id: this node.
        limits: what its operator allows.
        directory_key: the pinned key of the network.
        catalogue: the catalogue in force.
        accountant: computes what a plan would spend.
    """

    def __init__(
        self,
        member_id: str,
        limits: Limits,
        directory_key: VerifyKey,
        catalogue: Callable[[], Catalogue],
        accountant: Accountant,
    ) -> None:
        self._member_id = member_id
        self.limits = limits
        self._directory_key = directory_key
        self._catalogue = catalogue
        self._accountant = accountant

    def review(self, document: Document, now_ms: int) -> Reviewed:
        """Read a plan and decide on checks 1 to 8.

        Raises:
            SignatureInvalid, Malformed: check 1.
            PlanInvalid: check 2.
            CampaignExpired: its deadline has passed (check 3).
            PlanRefused: checks 3 to 8, by its subclass.
        """
        # 1. Signature.
        body = verify_document(document, self._directory_key, "plan")
        # 2. Form and limits.
        plan = CampaignPlan.from_body(body)
        # 3. This node.
        if self._member_id not in plan.members:
            raise PlanNotForUs(f"the plan names {len(plan.members)} members, not this one")
        plan.require_time(now_ms)
        # 4. Catalogue.
        self._check_catalogue(plan)
        # 5. Purpose and architecture.
        if plan.purpose not in self.limits.purposes:
            raise PurposeRefused(f"models for {plan.purpose} are not trained here")
        kind = WIDE_DEEP_PRIOR if plan.architecture.prior else WIDE_DEEP
        if kind not in self.limits.architectures:
            raise ArchitectureRefused(f"networks of the kind {kind} are not trained here")
        if plan.architecture.hidden > self.limits.max_hidden:
            raise ArchitectureRefused(f"{plan.architecture.hidden} hidden units are too many here")
        # 6. Members.
        if plan.quorum < self.limits.minimum_quorum:
            raise TooFewMembers(f"a quorum of {plan.quorum} is too small here")
        if self.limits.masked_only and not plan.aggregation.masked:
            raise PlanNotMasked("the plan's sums are taken in clear")
        # 7. and 8. Privacy.
        self._check_privacy(plan)
        return Reviewed(plan, document.body, sha256(document.body))

    def minimum_cohort(self, plan: CampaignPlan) -> int:
        """Rows below which this node takes no part (check 10)."""
        return max(plan.minimum_cohort, self.limits.minimum_cohort)

    def _check_catalogue(self, plan: CampaignPlan) -> None:
        catalogue = self._catalogue()
        ours = (catalogue.version, catalogue.sha256)
        if (plan.catalogue_version, plan.catalogue_sha256) != ours:
            raise CatalogueUnknown(f"the plan is for catalogue {plan.catalogue_version}")

    def _check_privacy(self, plan: CampaignPlan) -> None:
        privacy = plan.privacy
        # 7. What it asks for.
        if privacy.epsilon > self.limits.max_epsilon or privacy.delta > self.limits.delta:
            raise EpsilonAboveLimit(
                f"epsilon {privacy.epsilon:g} at delta {privacy.delta:g} is more than "
                f"{self.limits.max_epsilon:g} at {self.limits.delta:g}"
            )
        # 8. What it would really spend.
        spends = self._accountant.epsilon(campaign_charges(plan), privacy.delta)
        if spends > privacy.epsilon + EPSILON_TOLERANCE:
            raise PrivacyPlanInconsistent(
                f"the plan promises epsilon {privacy.epsilon:g} and would spend {spends:.3f}"
            )
        alone_limit = self.limits.max_epsilon_alone
        if alone_limit is not None and privacy.mode == "distributed":
            alone = self._accountant.epsilon(campaign_charges(plan, alone=True), privacy.delta)
            if alone > alone_limit + EPSILON_TOLERANCE:
                raise EpsilonAboveLimit(
                    f"this node's own noise would keep epsilon {alone:.3f}, not {alone_limit:g}"
                )
