"""The Flower ServerApp of a campaign: our own loop around the strategy.

Flower's `Strategy.start` always begins at round 1 and goes on when every node failed. This loop
begins after the last checkpoint, hands every finished round to the journal before the next begins,
and takes no step and no end below the quorum.
"""

import time
from collections.abc import Collection, Mapping
from typing import Protocol

from coordinator.federation.flower import ArrayRecord, ConfigRecord, Context, Grid, ServerApp
from coordinator.federation.strategy import LOSS, DpSgdStrategy, to_arrays
from models.plan import CampaignPlan
from protocols.errors import StateConflict
from protocols.federation import EPSILON


class EvaluationLost(StateConflict):
    """The nodes' tallies cannot be summed, and are released once only."""

    code = "evaluation_lost"
    next_step = "See the campaign's log for who was left out; propose a new campaign."


class Journal(Protocol):
    """What keeps the rounds and decides how long to wait for nodes."""

    def before_round(self) -> None:
        """A round is about to begin."""

    def round_done(
        self, number: int, *, loss: float, epsilon: float, counted: Collection[int], seconds: float
    ) -> None:
        """Keep the round and the optimiser's state; the next round begins when this returns."""

    def refused(self, refusals: Mapping[int, str]) -> None:
        """Note whose replies did not count, code by Flower node id."""

    def below_quorum(self, number: int) -> None:
        """Wait until the round may be tried again; raises when it may not."""

    def round_lost(self, number: int) -> None:
        """A round took no step and is passed over; raises when too many were."""


def build_server_app(plan: CampaignPlan, strategy: DpSgdStrategy, journal: Journal) -> ServerApp:
    """The app of one campaign.

    Args:
        plan: the signed plan.
        strategy: holds the optimiser, restored from the last checkpoint when there is one.
        journal: keeps what is done.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001 - Flower's signature
        strategy.summary()
        strategy.begin(grid)
        arrays = to_arrays(strategy.optimiser.weights)
        while strategy.optimiser.round < plan.rounds:
            arrays = _train(plan, strategy, journal, grid, arrays)
        while strategy.tally is None:
            evaluate(plan, strategy, journal, grid)

    return app


def _train(
    plan: CampaignPlan,
    strategy: DpSgdStrategy,
    journal: Journal,
    grid: Grid,
    arrays: ArrayRecord,
) -> ArrayRecord:
    number = strategy.optimiser.round + 1
    journal.before_round()
    started = time.monotonic()
    messages = strategy.configure_train(number, arrays, ConfigRecord(), grid)
    replies = grid.send_and_receive(messages, timeout=plan.round_deadline_s)
    following, metrics = strategy.aggregate_train(number, replies)
    journal.refused(strategy.refusals)
    if strategy.lost:
        strategy.optimiser.skip()
        journal.round_lost(number)
        return arrays
    if following is None or metrics is None:
        journal.below_quorum(number)
        return arrays
    journal.round_done(
        number,
        loss=float(metrics[LOSS]),
        epsilon=float(metrics[EPSILON]),
        counted=strategy.counted,
        seconds=time.monotonic() - started,
    )
    return following


def evaluate(plan: CampaignPlan, strategy: DpSgdStrategy, journal: Journal, grid: Grid) -> None:
    """Ask for the tally of the model to publish; `strategy.tally` holds it when enough came.

    Raises:
        EvaluationLost: it was charged, and cannot be used.
    """
    number = plan.rounds + 1
    journal.before_round()
    messages = strategy.configure_evaluate(number, strategy.evaluated, ConfigRecord(), grid)
    replies = grid.send_and_receive(messages, timeout=plan.round_deadline_s)
    metrics = strategy.aggregate_evaluate(number, replies)
    journal.refused(strategy.refusals)
    if strategy.lost:
        raise EvaluationLost("the evaluation was charged and its sum cannot be used")
    if metrics is None:
        journal.below_quorum(number)
