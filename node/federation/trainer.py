"""What this node does in a round, in the only order that keeps its promises.

A round is a training step, or the calibration after the last one:
  1. the campaign is one this node accepted, under the signed plan it accepted;
  2. the round is in the plan and new: above every round charged here. The round charged last gets
     its kept result again if the model is the same, bit for bit; everything else is refused, and
     nothing is noised twice;
  3. the model has exactly the tensors, types and shapes of the plan, all finite;
  4. the cohort is frozen from the consents in force, and is large enough (that it is not is one
     bit about an exact count; never training on a handful of people is worth it);
  5. the noisy result is computed;
  6. in one transaction: the cohort still stands, the round is still new, the budget admits the
     charge; the charge, the cohort, the round, the result and the audit leaf are written;
  7. only after the commit the result is returned, to be sent.
What fails before 6 costs nothing; what fails after is charged and never sent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from audit.database import Connection, Database
from models.calibration import noisy_histogram
from models.plan import CampaignPlan
from models.privacy.budget import BudgetSpent
from models.privacy.charge import Prices, calibration_prices, step_prices
from models.weights import Weights, logit, shapes
from node.federation.acceptance import ATTEMPTS, Acceptance, Answer, OpenCampaign
from node.federation.cohort import Cohort, CohortChanged
from node.federation.ledger_guard import LedgerRolledBack
from node.federation.policy import CohortTooSmall
from node.federation.record import Recorder
from node.storage import training as rows
from protocols.documents import Document
from protocols.errors import StateConflict
from protocols.tensors import TensorRefused, model_sha256, read_tensor

log = structlog.get_logger(__name__)

Mechanism = Callable[[Weights, Cohort], NDArray[np.int64]]


class RoundReplayed(StateConflict):
    """The round was charged already with another model, or lies before one that was."""

    code = "round_replayed"
    next_step = "Go on with the next round; a charged round is never computed again."


class RoundUnknown(StateConflict):
    """The plan has no such round."""

    code = "round_unknown"
    next_step = "Keep to the rounds of the signed plan."


LOGGED = (
    BudgetSpent,
    CohortTooSmall,
    LedgerRolledBack,
    RoundReplayed,
    RoundUnknown,
    TensorRefused,
)


@dataclass(frozen=True)
class Request:
    """What a round asks for.

    Attributes:
        campaign_id: as in the plan.
        number: of the round; the calibration is the one after the plan's last.
        plan_sha256: of the signed plan's body.
        model: .npy bytes by tensor name.
    """

    campaign_id: str
    number: int
    plan_sha256: bytes
    model: Mapping[str, bytes]


@dataclass(frozen=True)
class Result:
    """A noised result that is charged and may be sent.

    Attributes:
        values: int64[k].
        epsilon: this node's ledger after it.
    """

    values: NDArray[np.int64]
    epsilon: float


class Trainer:
    """One node's side of all campaigns. For one thread at a time.

    Args:
        database: the node's.
        recorder: writes charges and refusals.
        acceptance: answers plans and holds the open campaign.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        recorder: Recorder,
        acceptance: Acceptance,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._acceptance = acceptance
        self._now_ms = now_ms

    def accept(self, document: Document) -> Answer:
        """Answer a plan; see `Acceptance.accept`."""
        return self._acceptance.accept(document)

    def campaign(self, request: Request) -> OpenCampaign:
        """The open campaign that a round is of.

        Raises:
            CampaignNotAccepted: another one is open, or none.
        """
        return self._acceptance.campaign(request.campaign_id, request.plan_sha256)

    def train(self, request: Request) -> Result:
        """Answer a training step: the noisy clipped sum, int64[P + 1] in grid units.

        Raises:
            CredenceError: by its class; nothing is charged then, and refusals that an honest
                coordinator does not cause in passing stand in the log.
        """
        # 1. The campaign and its plan.
        campaign = self._acceptance.campaign(request.campaign_id, request.plan_sha256)

        def mechanism(weights: Weights, cohort: Cohort) -> NDArray[np.int64]:
            return campaign.step.noisy_sum(weights, cohort.x, cohort.y)

        # 2. In the plan.
        due = range(1, campaign.plan.rounds + 1)
        return self._logged(campaign, request, due, step_prices(campaign.plan.privacy), mechanism)

    def calibrate(self, request: Request) -> Result:
        """Answer the calibration after the last step: int64[BINS * 2], row by row.

        Raises:
            CredenceError: by its class; nothing is charged then.
        """
        # 1. The campaign and its plan.
        campaign = self._acceptance.campaign(request.campaign_id, request.plan_sha256)
        noise = campaign.plan.privacy.node_calibration_noise

        def mechanism(weights: Weights, cohort: Cohort) -> NDArray[np.int64]:
            return noisy_histogram(logit(weights, cohort.x), cohort.y, noise).reshape(-1)

        # 2. In the plan.
        due = range(campaign.plan.rounds + 1, campaign.plan.rounds + 2)
        prices = calibration_prices(campaign.plan.privacy)
        return self._logged(campaign, request, due, prices, mechanism)

    def _logged(
        self,
        campaign: OpenCampaign,
        request: Request,
        due: range,
        prices: Prices,
        mechanism: Mechanism,
    ) -> Result:
        try:
            if request.number not in due:
                raise RoundUnknown(f"such a step is a round {due[0]} to {due[-1]} of the plan")
            return self._round(campaign, request, prices, mechanism)
        except LOGGED as error:
            self._log_refusal(request.campaign_id, error.code)
            raise

    def _round(
        self, campaign: OpenCampaign, request: Request, prices: Prices, mechanism: Mechanism
    ) -> Result:
        # 2. New, or the same message again.
        model_hash = model_sha256(request.model)
        kept = self._kept(request, model_hash)
        if kept is not None:
            return kept
        # 3. The model.
        weights = read_model(request.model, campaign.plan, campaign.encoder.width)
        for _ in range(ATTEMPTS - 1):
            try:
                return self._attempt(campaign, request, prices, model_hash, weights, mechanism)
            except CohortChanged:
                log.info("training.cohort_changed", campaign=request.campaign_id)
        return self._attempt(campaign, request, prices, model_hash, weights, mechanism)

    def _attempt(
        self,
        campaign: OpenCampaign,
        request: Request,
        prices: Prices,
        model_hash: bytes,
        weights: Weights,
        mechanism: Mechanism,
    ) -> Result:
        # 4. The cohort.
        cohort = campaign.cohorts.freeze(self._now_ms())
        if cohort.size < campaign.minimum_cohort or cohort.one_class:
            raise CohortTooSmall("too few consents are in force for another round")
        # 5. The result.
        values = mechanism(weights, cohort)
        # 6. Check again, charge and write.
        with self._database.write() as connection:
            at_ms = self._now_ms()
            campaign.plan.require_time(at_ms)
            campaign.cohorts.check(connection, cohort, at_ms)
            _refuse_charged(connection, request)
            seq, epsilon = self._recorder.charged(
                connection, request.campaign_id, request.number, prices, cohort, model_hash,
                at_ms,
            )  # fmt: skip
            rows.add_round(
                connection, request.campaign_id, request.number, cohort_root=cohort.root,
                model_hash=model_hash, at_ms=at_ms, leaf_seq=seq,
            )  # fmt: skip
            bytes_ = values.astype("<i8").tobytes()
            rows.keep_reply(
                connection,
                rows.ReplyRow(request.campaign_id, request.number, model_hash, bytes_, epsilon),
            )
        # 7. Committed: it may be sent.
        return Result(values, epsilon)

    def _kept(self, request: Request, model_hash: bytes) -> Result | None:
        with self._database.read() as connection:
            last = rows.last_round(connection, request.campaign_id)
            if last is None or request.number > last:
                return None
            reply = rows.find_reply(connection, request.campaign_id)
        if reply is None or (reply.round, reply.model_hash) != (request.number, model_hash):
            raise RoundReplayed(f"round {request.number} of this campaign is charged already")
        return Result(np.frombuffer(reply.result, "<i8").astype(np.int64), reply.epsilon)

    def _log_refusal(self, campaign_id: str, code: str) -> None:
        with self._database.write() as connection:
            self._recorder.refused(connection, campaign_id, code, self._now_ms())


def read_model(model: Mapping[str, bytes], plan: CampaignPlan, width: int) -> Weights:
    """The weights, which must be exactly those of the plan's architecture.

    Raises:
        TensorRefused: other names, a wrong type or shape, NaN or infinity.
    """
    expected = shapes(plan.architecture, width)
    if set(model) != set(expected):
        raise TensorRefused("the model has other tensors than the plan's architecture")
    return {name: read_tensor(model[name], "float32", shape) for name, shape in expected.items()}


def _refuse_charged(connection: Connection, request: Request) -> None:
    last = rows.last_round(connection, request.campaign_id)
    if last is not None and request.number <= last:
        raise RoundReplayed(f"round {request.number} of this campaign is charged already")
