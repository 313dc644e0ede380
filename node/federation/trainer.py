"""What this node does in a round, in the only order that keeps its promises.

A round is a training step, or the evaluation after the last one:
  1. the campaign is one this node accepted, under the signed plan it accepted;
  2. the round is in the plan and new: above every round charged here. The round charged last gets
     its kept result again if the model is the same, bit for bit; everything else is refused, and
     nothing is noised twice;
  3. the model has exactly the tensors, types and shapes of the plan, all finite; in the evaluation
     so has the version it is compared with, if the plan names one;
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
from models.evaluation import People
from models.plan import Architecture, CampaignPlan
from models.privacy.budget import BudgetSpent
from models.privacy.charge import Prices, step_prices, tally_prices
from models.watch_tally import NotTheWatchedModel
from models.weights import Weights, shapes
from node.federation.acceptance import ATTEMPTS, Acceptance, Answer, OpenCampaign
from node.federation.cohort import Cohort, CohortChanged
from node.federation.ledger_guard import LedgerRolledBack
from node.federation.policy import CohortTooSmall
from node.federation.record import Recorder
from node.storage import training as rows
from protocols.documents import Document
from protocols.errors import StateConflict
from protocols.federation import PREVIOUS
from protocols.tensors import TensorRefused, model_sha256, read_tensor

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Models:
    """The weights that a round came with.

    Attributes:
        current: of the round.
        previous: of the version it is compared with, in an evaluation that compares.
    """

    current: Weights
    previous: Weights | None = None


@dataclass(frozen=True)
class _Act:
    """What a round releases.

    Attributes:
        prices: of it.
        everybody: whether people who are held out are in it too.
        previous: whether a version to compare with comes along.
        mechanism: computes it.
    """

    prices: Prices
    everybody: bool
    previous: bool
    mechanism: Callable[[Models, Cohort], NDArray[np.int64]]


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
    NotTheWatchedModel,
    RoundReplayed,
    RoundUnknown,
    TensorRefused,
)


@dataclass(frozen=True)
class Request:
    """What a round asks for.

    Attributes:
        campaign_id: as in the plan.
        number: of the round; the evaluation is the one after the plan's last.
        plan_sha256: of the signed plan's body.
        model: .npy bytes by tensor name; those of a version to compare with under a prefix.
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

        def mechanism(models: Models, cohort: Cohort) -> NDArray[np.int64]:
            return campaign.step.noisy_sum(models.current, cohort.x, cohort.y)

        # 2. In the plan.
        due = range(1, campaign.plan.rounds + 1)
        prices = step_prices(campaign.plan.privacy)
        return self._logged(campaign, request, due, _Act(prices, False, False, mechanism))

    def evaluate(self, request: Request) -> Result:
        """Answer the evaluation after the last step: the plan's noised tally, int64[size].

        Raises:
            CredenceError: by its class; nothing is charged then.
        """
        # 1. The campaign and its plan.
        campaign = self._acceptance.campaign(request.campaign_id, request.plan_sha256)
        plan, tally = campaign.plan, campaign.tally
        noise = plan.privacy.node_tally_noise

        def mechanism(models: Models, cohort: Cohort) -> NDArray[np.int64]:
            people = People(cohort.x, cohort.y, cohort.held)
            counts = tally.count(models.current, models.previous, people)
            return tally.layout.noisy(counts, noise)

        # 2. In the plan.
        due = range(plan.rounds + 1, plan.rounds + 2)
        compares = bool(plan.evaluation.previous)
        act = _Act(tally_prices(plan), True, compares, mechanism)
        return self._logged(campaign, request, due, act)

    def _logged(
        self,
        campaign: OpenCampaign,
        request: Request,
        due: range,
        act: _Act,
    ) -> Result:
        try:
            if request.number not in due:
                raise RoundUnknown(f"the plan has no such step as its round {request.number}")
            return self._round(campaign, request, act)
        except LOGGED as error:
            self._log_refusal(request.campaign_id, error.code)
            raise

    def _round(self, campaign: OpenCampaign, request: Request, act: _Act) -> Result:
        # 2. New, or the same message again.
        model_hash = model_sha256(request.model)
        kept = self._kept(request, model_hash)
        if kept is not None:
            return kept
        # 3. The models.
        width = campaign.encoder.width
        models = read_models(request.model, campaign.plan, width, compares=act.previous)
        for _ in range(ATTEMPTS - 1):
            try:
                return self._attempt(campaign, request, act, model_hash, models)
            except CohortChanged:
                log.info("training.cohort_changed", campaign=request.campaign_id)
        return self._attempt(campaign, request, act, model_hash, models)

    def _attempt(
        self,
        campaign: OpenCampaign,
        request: Request,
        act: _Act,
        model_hash: bytes,
        models: Models,
    ) -> Result:
        # 4. The cohort.
        cohorts = campaign.cohorts
        freeze = cohorts.freeze_everybody if act.everybody else cohorts.freeze
        cohort = freeze(self._now_ms())
        if cohort.size < campaign.minimum_cohort or cohort.one_class:
            raise CohortTooSmall("too few consents are in force for another round")
        # 5. The result.
        values = act.mechanism(models, cohort)
        # 6. Check again, charge and write.
        with self._database.write() as connection:
            at_ms = self._now_ms()
            campaign.plan.require_time(at_ms)
            campaign.cohorts.check(connection, cohort, at_ms)
            _refuse_charged(connection, request)
            seq, epsilon = self._recorder.charged(
                connection, request.campaign_id, request.number, act.prices, cohort, model_hash,
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


def read_models(
    model: Mapping[str, bytes], plan: CampaignPlan, width: int, *, compares: bool = False
) -> Models:
    """The weights, which must be exactly those of the plan's architecture.

    Args:
        model: .npy bytes by tensor name.
        plan: the campaign's.
        width: of an encoded row.
        compares: whether the version that the plan names comes along, by names with the prefix
            `protocols.federation.PREVIOUS`.

    Raises:
        TensorRefused: other names, a wrong type or shape, NaN or infinity.
    """
    expected = shapes(plan.architecture, width)
    before: dict[str, tuple[int, ...]] = {}
    if compares:
        before = shapes(Architecture(hidden=plan.evaluation.previous_hidden), width)
    if set(model) != set(expected) | {PREVIOUS + name for name in before}:
        raise TensorRefused("the model has other tensors than the plan's architecture")
    return Models(
        {name: read_tensor(model[name], "float32", shape) for name, shape in expected.items()},
        {name: read_tensor(model[PREVIOUS + name], "float32", one) for name, one in before.items()}
        or None,
    )


def _refuse_charged(connection: Connection, request: Request) -> None:
    last = rows.last_round(connection, request.campaign_id)
    if last is not None and request.number <= last:
        raise RoundReplayed(f"round {request.number} of this campaign is charged already")
