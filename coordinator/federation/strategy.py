"""One DP-SGD step a round, as a Flower strategy.

An update is counted only when
  1. it is a reply without error, with exactly one int64 tensor of P + 1 values;
  2. it is no longer than the declared cohort and the plan's noise allow (`check_update`);
  3. it says where the node's ledger stands, a finite number.
Below the plan's quorum nothing is aggregated: the optimiser, and with it the model, stays bit for
bit what it was.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from coordinator.federation.flower import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Grid,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
    Strategy,
)
from models.aggregation import Aggregate, aggregate, check_tally, check_update
from models.optimiser import ServerOptimiser
from models.plan import CampaignPlan
from models.watch_tally import plan_layout
from models.weights import Weights
from protocols import federation as names
from protocols.errors import CredenceError, Malformed, StateConflict
from protocols.tensors import read_tensor, tensor_bytes

log = structlog.get_logger(__name__)

LOSS = "loss"
PARTICIPANTS = "participants"


@dataclass(frozen=True)
class _Counted:
    node_id: int
    values: NDArray[np.int64]
    epsilon: float


class DpSgdStrategy(Strategy):
    """The strategy of one campaign.

    Args:
        plan: the signed plan.
        plan_sha256: of its body.
        optimiser: holds the weights; restored from a checkpoint when a campaign resumes.
        bands: the declared cohort of each Flower node that accepted.
        previous: weights of the version that the plan compares with, if it does.

    Attributes:
        refusals: code by Flower node id, of the replies that did not count in the last round.
        counted: Flower node ids of those that did, sorted.
        lost: whether the last round may not be tried again.
        layout: of the tally that the last round brings.
        tally: the nodes' tallies summed, int64[layout.size], once there is one.
        tallies: how many nodes' are in it.
    """

    def __init__(
        self,
        plan: CampaignPlan,
        plan_sha256: bytes,
        optimiser: ServerOptimiser,
        bands: Mapping[int, int],
        previous: Weights | None = None,
    ) -> None:
        self._previous = previous
        self._plan = plan
        self._plan_sha256 = plan_sha256
        self._bands = dict(bands)
        self.optimiser = optimiser
        self.refusals: dict[int, str] = {}
        self.counted: tuple[int, ...] = ()
        self.lost = False
        self.layout = plan_layout(optimiser.encoder, plan)
        self.tally: NDArray[np.int64] | None = None
        self.tallies = 0

    @property
    def evaluated(self) -> ArrayRecord:
        """What the evaluation is sent with: the model to publish, and the one before it."""
        arrays = to_arrays(self.optimiser.averaged)
        for name, array in to_arrays(self._previous or {}).items():
            arrays[names.PREVIOUS + name] = array
        return arrays

    def begin(self, grid: Grid) -> None:
        """Whatever the members must agree on before the first round."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The messages of a training round, one to each attached node that accepted."""
        return self._messages(MessageType.TRAIN, server_round, arrays, config, grid)

    def aggregate_train(
        self,
        server_round: int,  # noqa: ARG002 - Flower's signature
        replies: Iterable[Message],
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take one step, or return (None, None) below the quorum."""
        parameters = self.optimiser.parameters
        counted = self._counted(replies, (parameters + 1,))
        if len(counted) < self._plan.quorum:
            return None, None
        updates = [one.values for one in counted]
        cohorts = [self._bands[one.node_id] for one in counted]
        result = aggregate(updates, self._plan, cohorts, parameters)
        return self._stepped(result, len(counted), max(one.epsilon for one in counted))

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The messages of the evaluation."""
        return self._messages(MessageType.EVALUATE, server_round, arrays, config, grid)

    def aggregate_evaluate(
        self,
        server_round: int,  # noqa: ARG002 - Flower's signature
        replies: Iterable[Message],
    ) -> MetricRecord | None:
        """Sum the tallies, or return None below the quorum."""
        counted = self._counted(replies, (self.layout.size,), evaluation=True)
        if len(counted) < self._plan.quorum:
            return None
        total = np.stack([one.values for one in counted]).sum(axis=0, dtype=np.int64)
        self.tally, self.tallies = total, len(counted)
        return MetricRecord(
            {
                PARTICIPANTS: len(counted),
                names.EPSILON: max(one.epsilon for one in counted),
            }
        )

    def summed(self) -> NDArray[np.int64]:
        """The summed tally.

        Raises:
            StateConflict: there is none yet.
        """
        if self.tally is None:
            raise StateConflict("the campaign's model is not evaluated yet")
        return self.tally

    def summary(self) -> None:
        """Say what will be run."""
        privacy = self._plan.privacy
        log.info(
            "campaign.strategy",
            rounds=self._plan.rounds,
            noise_multiplier=privacy.noise_multiplier,
            sampling_rate=privacy.sampling_rate,
            quorum=self._plan.quorum,
        )

    def _stepped(
        self, result: Aggregate, participants: int, epsilon: float
    ) -> tuple[ArrayRecord, MetricRecord]:
        self.optimiser.step(result.gradient, result.noise)
        metrics = {LOSS: result.loss, PARTICIPANTS: participants, names.EPSILON: epsilon}
        return to_arrays(self.optimiser.weights), MetricRecord({**metrics})

    def _takes_part(self) -> Collection[int]:
        """Flower node ids of the members that a round is sent to."""
        return self._bands

    def _messages(
        self,
        message_type: str,
        server_round: int,
        arrays: ArrayRecord,
        config: ConfigRecord,
        grid: Grid,
    ) -> list[Message]:
        about = {
            names.CAMPAIGN_ID: self._plan.campaign_id,
            names.ROUND_NUMBER: server_round,
            names.PLAN_SHA256: self._plan_sha256,
        }
        content = RecordDict(
            {names.MODEL: arrays, names.ROUND: ConfigRecord({**dict(config), **about})}
        )
        takes_part = self._takes_part()
        return [
            grid.create_message(content, message_type, node_id, group_id=str(server_round))
            for node_id in grid.get_node_ids()
            if node_id in takes_part
        ]

    def _counted(
        self, replies: Iterable[Message], shape: tuple[int, ...], *, evaluation: bool = False
    ) -> list[_Counted]:
        self.refusals = {}
        found: dict[int, _Counted] = {}
        for reply in replies:
            node_id = reply.metadata.src_node_id
            if reply.has_error():
                self.refusals[node_id] = reply.error.reason or CredenceError.code
                continue
            try:
                found[node_id] = self._read(reply, node_id, shape, evaluation=evaluation)
            except CredenceError as error:
                log.warning("campaign.update_rejected", node=node_id, code=error.code)
                self.refusals[node_id] = error.code
        self.counted = tuple(sorted(found))
        return [found[node_id] for node_id in self.counted]

    def _read(
        self, reply: Message, node_id: int, shape: tuple[int, ...], *, evaluation: bool
    ) -> _Counted:
        # 1. Form.
        update = reply.content.get(names.UPDATE)
        if not isinstance(update, ArrayRecord) or set(update) != {names.UPDATE}:
            raise Malformed("an update is one tensor")
        values = read_tensor(update[names.UPDATE].data, "int64", shape)
        # 2. Length.
        if evaluation:
            check_tally(values, self._plan, self.layout, 1)
        else:
            check_update(values, self._plan, self._bands[node_id], self.optimiser.parameters)
        # 3. The ledger.
        ledger = reply.content.get(names.LEDGER)
        epsilon = ledger.get(names.EPSILON) if isinstance(ledger, MetricRecord) else None
        if not isinstance(epsilon, float) or not math.isfinite(epsilon) or epsilon < 0:
            raise Malformed("an update says where the node's ledger stands")
        return _Counted(node_id, values, epsilon)


def to_arrays(weights: Weights) -> ArrayRecord:
    """Weights as Flower arrays, .npy bytes each."""
    return ArrayRecord(
        {
            name: Array(str(array.dtype), tuple(array.shape), "numpy.ndarray", tensor_bytes(array))
            for name, array in weights.items()
        }
    )
