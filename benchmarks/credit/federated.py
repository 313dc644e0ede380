"""Our own training of a table, in one process: exactly what nodes and coordinator run.

Each institution takes `LocalStep`s on its rows, their integer sums are added up as masked sums are,
`aggregate_total` scales them and `ServerOptimiser` takes the step; then noisy histograms calibrate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.aggregation import aggregate_total
from models.calibration import Calibration, fit
from models.card_making import Opened
from models.catalogue import Catalogue
from models.encoder import Encoded, Encoder
from models.evaluation import CALIBRATION, People, Tally
from models.local_step import LocalStep
from models.optimiser import ServerOptimiser
from models.plan import Architecture, CampaignPlan, OptimiserPlan, TrustMode
from models.prior import Prior
from models.privacy.guarantees import Guarantees, guarantees
from models.proposal import propose
from models.weights import Weights, logit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cohort:
    """One institution's training rows."""

    x: Encoded
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Settings:
    """How a table is trained on; defaults were fixed on synthetic worlds alone.

    Attributes:
        rounds: DP steps.
        learning_rate: in Newton steps.
        momentum: of the optimiser.
        pull: decay back to the prior's start, for each unit of noise a round adds to the mean of
            all rows; the decay itself stays from .01 to .3.
        clip: far below a row's gradient: every row counts alike.
        tally_noise: noise multiplier of the tally.
        count_noise: in people.
        free_rounds, free_rate, free_sampling, free_pull: of training without privacy.
    """

    rounds: int = 120
    learning_rate: float = 1.0
    momentum: float = 0.9
    pull: float = 14.0
    clip: float = 0.5
    tally_noise: float = 12.0
    count_noise: float = 20.0
    free_rounds: int = 1600
    free_rate: float = 4e-3
    free_sampling: float = 0.01
    free_pull: float = 0.3

    def decay(self, plan: CampaignPlan, rows: int) -> float:
        """What `pull` comes to: the more noise there is, the more the start is worth."""
        noise = plan.privacy.node_noise_multiplier * float(np.sqrt(len(plan.members))) / rows
        return float(np.clip(self.pull * noise, 0.01, 0.3))

    def without_prior(self) -> "Settings":
        """For a table that no synthetic world resembles: Adam on the bins themselves."""
        return replace(self, rounds=120, learning_rate=0.02, momentum=0.8, pull=0.3, clip=2.0)


@dataclass(frozen=True)
class Trained:
    """A model and what it cost.

    Attributes:
        weights: of the network.
        calibration: from its log-odds to a probability.
        guarantees: of the plan, or None without privacy.
    """

    weights: Weights
    calibration: Calibration
    guarantees: Guarantees | None

    def risk(self, x: Encoded) -> Floats:
        """Log-odds before calibration."""
        return logit(self.weights, x)

    def pd(self, x: Encoded) -> Floats:
        """Probability of default."""
        return self.calibration.pd(self.risk(x))


def make_plan(
    catalogue: Catalogue,
    members: int,
    architecture: Architecture,
    settings: Settings,
    *,
    epsilon: float,
    delta: float,
    mode: TrustMode,
    rows: int,
) -> CampaignPlan:
    """The plan of one cell of the grid: every row in every round, nobody falls out.

    Args:
        catalogue: of the table.
        members: institutions.
        architecture: of the network.
        settings: how.
        epsilon: of the whole cell.
        delta: where it holds.
        mode: who is trusted.
        rows: of all institutions, which their cohort bands tell.
    """
    plan = propose(
        catalogue,
        "benchmark",
        [f"bank-{number}" for number in range(members)],
        epsilon=epsilon,
        delta=delta,
        rounds=settings.rounds,
        follow_up_rounds=0,
        architecture=architecture,
        optimiser=OptimiserPlan(
            learning_rate=settings.learning_rate,
            beta1=settings.momentum,
        ),
        sampling_rate=1.0,
        clip=settings.clip,
        loss_weight=0.05,
        tally_noise=settings.tally_noise,
        count_noise=settings.count_noise,
        held_out=0.0,  # the table's own test rows measure
        quorum=members,
        mode=mode if members > 1 else "local",
    )
    decay = settings.decay(plan, rows)
    return replace(plan, optimiser=replace(plan.optimiser, weight_decay=decay))


def train(
    plan: CampaignPlan, encoder: Encoder, prior: Prior | None, cohorts: Sequence[Cohort]
) -> Trained:
    """Run a plan with all of its noise."""
    steps = [LocalStep(plan, encoder, prior) for _ in cohorts]
    optimiser = ServerOptimiser(plan, encoder, None, prior)
    sizes = [len(cohort.x) for cohort in cohorts]
    for _ in range(plan.rounds):
        weights = optimiser.weights
        updates = [
            step.noisy_sum(weights, cohort.x, cohort.y)
            for step, cohort in zip(steps, cohorts, strict=True)
        ]
        total: NDArray[np.int64] = np.sum(updates, axis=0, dtype=np.int64)
        result = aggregate_total(total, plan, sizes, optimiser.parameters)
        optimiser.step(result.gradient, result.noise)
    noise = plan.privacy.node_tally_noise
    calibration = calibrate(plan, encoder, optimiser.averaged, cohorts, noise)
    return Trained(optimiser.averaged, calibration, guarantees(plan))


def train_freely(
    catalogue: Catalogue,
    encoder: Encoder,
    architecture: Architecture,
    cohorts: Sequence[Cohort],
    settings: Settings,
) -> Trained:
    """The same federation without privacy: small samples, no clipping, no noise, no prior."""
    plan = make_plan(
        catalogue, 1, replace(architecture, prior=""), settings,
        epsilon=8.0, delta=1e-5, mode="local", rows=1,
    )  # fmt: skip
    privacy = replace(plan.privacy, clip=1000.0, sampling_rate=settings.free_sampling)
    optimiser_plan = OptimiserPlan(
        learning_rate=settings.free_rate,
        beta1=0.9,
        beta2=0.99,
        weight_decay=settings.free_pull,
        average_from=0.7,
    )
    plan = replace(plan, privacy=privacy, optimiser=optimiser_plan, rounds=settings.free_rounds)
    steps = [LocalStep(plan, encoder) for _ in cohorts]
    optimiser = ServerOptimiser(plan, encoder, None)
    generator = np.random.default_rng(0)
    for _ in range(plan.rounds):
        weights = optimiser.weights
        total = np.zeros(optimiser.parameters + 1, np.int64)
        for step, cohort in zip(steps, cohorts, strict=True):
            chosen = np.flatnonzero(generator.random(len(cohort.x)) < settings.free_sampling)
            total += step.clipped_sum(weights, cohort.x[chosen], cohort.y[chosen])
        scaled = aggregate_total(total, plan, [len(one.x) for one in cohorts], optimiser.parameters)
        optimiser.step(scaled.gradient, 0.0)
    weights = optimiser.averaged
    return Trained(weights, calibrate(plan, encoder, weights, cohorts, 0.0), None)


def calibrate(
    plan: CampaignPlan,
    encoder: Encoder,
    weights: Weights,
    cohorts: Sequence[Cohort],
    noise: float,
) -> Calibration:
    """Fit the curve to the institutions' tallies.

    Args:
        plan: of the cell.
        encoder: of the table's catalogue.
        weights: of the network.
        cohorts: of all institutions.
        noise: multiplier of each tally; 0 adds next to none.
    """
    least = max(noise, 1e-3)
    tally = Tally(plan.evaluation, encoder)
    total: NDArray[np.int64] = np.zeros(tally.layout.size, np.int64)
    for one in cohorts:
        people = People(one.x, one.y, np.zeros(len(one.x), bool))
        total += tally.layout.noisy(tally.count(weights, None, people), least)
    table = Opened(tally.layout, total, len(cohorts), least).tables()[CALIBRATION]
    return fit(table.counts, table.deviation)
