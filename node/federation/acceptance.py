"""This node's answer to a campaign plan, given once and kept.

The plan is reviewed (`node.federation.policy`, checks 1 to 8), the ledger must be the one that this
node signed for (`node.federation.ledger_guard`), the plan must fit the budget (9), and the
cohort is counted with noise, charged, and must be large enough (10). A plan that comes again, after
a reconnect or a restart, gets the kept answer and no new noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from audit.database import Database
from audit.witness_state import LogNotTrusted
from models.encoder import Encoder
from models.evaluation import Tally
from models.local_step import LocalStep
from models.plan import CampaignPlan, PlanInvalid
from models.privacy.budget import BudgetSpent
from models.privacy.charge import campaign_charges, cohort_prices
from models.privacy.counting import cohort_band
from models.watch_tally import WatchTally
from node.federation.cohort import CohortChanged, Cohorts
from node.federation.held_out import HeldOut
from node.federation.ledger import PrivacyLedger
from node.federation.ledger_guard import LedgerGuard
from node.federation.policy import (
    EPSILON_TOLERANCE,
    CohortTooSmall,
    LabelOneClass,
    PlanRefused,
    Reviewed,
    TrainingPolicy,
)
from node.federation.record import Recorder
from node.federation.watch import WatchPolicy
from node.storage import training as rows
from protocols.canonical import parse_json
from protocols.documents import MAX_DOCUMENT_BYTES, Document
from protocols.errors import CredenceError, StateConflict

log = structlog.get_logger(__name__)

COUNT_ROUND = 0
ATTEMPTS = 3  # a cohort that changes this often at once is a reason to leave it for now


class CampaignNotAccepted(StateConflict):
    """A campaign that this node did not accept, or accepted under another plan."""

    code = "campaign_not_accepted"
    next_step = "Send the signed plan first; propose a changed plan under a new campaign id."


@dataclass(frozen=True)
class Answer:
    """This node's answer to a plan: a band, or a refusal code.

    Attributes:
        ledger: its signed statement of where the ledger stands; empty with a refusal that cost
            nothing.
    """

    campaign_id: str
    refusal: str
    cohort_band: int
    ledger: bytes = field(default=b"", compare=False)


@dataclass(frozen=True)
class OpenCampaign:
    """An accepted campaign, ready for its rounds."""

    plan: CampaignPlan
    sha256: bytes
    encoder: Encoder
    step: LocalStep
    tally: Tally | WatchTally
    cohorts: Cohorts
    minimum_cohort: int


class Acceptance:
    """Answers plans and holds the campaign that is open. For one thread at a time.

    Args:
        database: the node's.
        recorder: writes charges and refusals.
        member_id: this node.
        policy: what it accepts.
        ledger: what it spends.
        encoder: the encoder of the catalogue in force.
        now_ms: the clock, UTC milliseconds.
        guard: refuses a ledger that was put back.
        admit: refuses while the log is not witnessed well enough.
        split_key: 32 secret bytes, decides who is held out.
        watched: what may be watched here, and its weights.
    """

    def __init__(
        self,
        *,
        database: Database,
        recorder: Recorder,
        member_id: str,
        policy: TrainingPolicy,
        ledger: PrivacyLedger,
        encoder: Callable[[], Encoder],
        now_ms: Callable[[], int],
        guard: LedgerGuard,
        admit: Callable[[], None] = lambda: None,
        split_key: bytes,
        watched: WatchPolicy,
    ) -> None:
        self._watched = watched
        self._split_key = split_key
        self._guard = guard
        self._admit = admit
        self._database = database
        self._recorder = recorder
        self._member_id = member_id
        self._policy = policy
        self._ledger = ledger
        self._encoder = encoder
        self._now_ms = now_ms
        # One at a time: what was open before is over, and its rows can go.
        self._open: OpenCampaign | None = None

    def campaign(self, campaign_id: str, plan_sha256: bytes) -> OpenCampaign:
        """The open campaign by that id and plan.

        Raises:
            CampaignNotAccepted: another one is open, or none.
            CampaignExpired: its deadline has passed.
        """
        found = self._open
        if found is None or (found.plan.campaign_id, found.sha256) != (campaign_id, plan_sha256):
            raise CampaignNotAccepted("no such campaign was accepted here, or under another plan")
        found.plan.require_time(self._now_ms())
        return found

    def accept(self, document: Document) -> Answer:
        """Answer a plan. A refusal is an answer, logged like an acceptance.

        Raises:
            CredenceError: the plan is not signed by this network: nobody is owed an answer.
        """
        campaign_id = ""
        try:
            reviewed = self._policy.review(document, self._now_ms())
            campaign_id = reviewed.plan.campaign_id
            self._admit()
            self._guard.require()
            row = self._answer(reviewed)
        except (PlanInvalid, PlanRefused, BudgetSpent, StateConflict, LogNotTrusted) as error:
            campaign_id = campaign_id or _campaign_id(document)
            self._log_refusal(campaign_id, error)
            return Answer(campaign_id, error.code, 0)
        log.info("training.answered", campaign=campaign_id, refusal=row.refusal)
        # Where sums are masked the band travels in them, and not here.
        band = 0 if reviewed.plan.aggregation.masked else row.cohort_band
        return Answer(campaign_id, row.refusal, band, self._guard.statement())

    def _answer(self, reviewed: Reviewed) -> rows.CampaignRow:
        plan = reviewed.plan
        with self._database.read() as connection:
            known = rows.find_campaign(connection, plan.campaign_id)
            charges = campaign_charges(plan)
            total = self._ledger.projected(connection, charges, besides=plan.campaign_id)
        if known is not None and known.plan_sha256 != reviewed.sha256:
            raise CampaignNotAccepted("another plan was answered under this campaign's id")
        cohorts = Cohorts(
            self._database,
            self._member_id,
            self._encoder(),
            total,
            held_out=HeldOut(self._split_key, plan.evaluation),
        )
        if known is None:
            # 9. Budget.
            if total > self._ledger.limit + EPSILON_TOLERANCE:
                raise BudgetSpent(
                    f"the campaign would raise epsilon to {total:.3f} of {self._ledger.limit:g}"
                )
            if plan.watch is not None:
                self._watched.admit(plan)
            # 10. Cohort.
            known = self._counted(reviewed, cohorts)
        if not known.refusal:
            self._keep_open(reviewed, cohorts)
        return known

    def _counted(self, reviewed: Reviewed, cohorts: Cohorts) -> rows.CampaignRow:
        for _ in range(ATTEMPTS - 1):
            try:
                return self._count(reviewed, cohorts)
            except CohortChanged:
                log.info("training.cohort_changed", campaign=reviewed.plan.campaign_id)
        return self._count(reviewed, cohorts)

    def _count(self, reviewed: Reviewed, cohorts: Cohorts) -> rows.CampaignRow:
        plan = reviewed.plan
        prices = cohort_prices(plan)
        cohort = cohorts.freeze(self._now_ms())
        band = cohort_band(cohort.size, prices.promised.noise_multiplier)
        code = CohortTooSmall.code if band < self._policy.minimum_cohort(plan) else ""
        if not code and cohort.one_class:
            code = LabelOneClass.code
        with self._database.write() as connection:
            at_ms = self._now_ms()
            cohorts.check(connection, cohort, at_ms)
            seq, _ = self._recorder.charged(
                connection, plan.campaign_id, COUNT_ROUND, prices, cohort, b"", at_ms
            )
            row = rows.CampaignRow(
                campaign_id=plan.campaign_id,
                plan_sha256=reviewed.sha256,
                plan=reviewed.body,
                cohort_band=0 if code else band,
                refusal=CohortTooSmall.code if code else "",
                at_ms=at_ms,
                leaf_seq=seq,
            )
            rows.add_campaign(connection, row)
            if code:
                self._recorder.refused(connection, plan.campaign_id, code, at_ms)
        return row

    def _keep_open(self, reviewed: Reviewed, cohorts: Cohorts) -> None:
        if self._open is not None and self._open.sha256 == reviewed.sha256:
            return  # keeps its encoded rows
        encoder = self._encoder()
        self._open = OpenCampaign(
            plan=reviewed.plan,
            sha256=reviewed.sha256,
            encoder=encoder,
            step=LocalStep(reviewed.plan, encoder),
            tally=self._tally(reviewed.plan, encoder),
            cohorts=cohorts,
            minimum_cohort=self._policy.minimum_cohort(reviewed.plan),
        )

    def _tally(self, plan: CampaignPlan, encoder: Encoder) -> Tally | WatchTally:
        if plan.watch is None:
            return Tally(plan.evaluation, encoder)
        return WatchTally(encoder, plan.watch.signals, self._watched.weights(plan))

    def _log_refusal(self, campaign_id: str, error: CredenceError) -> None:
        log.warning("training.plan_refused", campaign=campaign_id, code=error.code)
        with self._database.write() as connection:
            self._recorder.refused(connection, campaign_id, error.code, self._now_ms())


def _campaign_id(document: Document) -> str:
    """The campaign that a signed plan names, even when we cannot read the rest of it."""
    found = parse_json(document.body, max_bytes=MAX_DOCUMENT_BYTES).get("campaign_id")
    return found[:40] if isinstance(found, str) else ""
