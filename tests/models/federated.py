"""A federation in one process: what the nodes and the coordinator do with this room's parts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.aggregation import aggregate
from models.bundle import Bundle, Manifest
from models.calibration import bands, fit
from models.card_making import Opened
from models.catalogue import Catalogue
from models.encoder import Encoded, Encoder
from models.evaluation import CALIBRATION, People, Tally
from models.local_step import LocalStep
from models.optimiser import ServerOptimiser
from models.plan import CampaignPlan
from models.privacy.accountant import epsilon
from models.privacy.charge import privacy_charges
from models.scale import Scale
from models.weights import Weights


@dataclass
class Cohort:
    """One node's training rows."""

    x: Encoded
    y: NDArray[np.int64]
    held: NDArray[np.bool_] | None = None


def train(
    plan: CampaignPlan, encoder: Encoder, cohorts: Sequence[Cohort], start: Weights | None = None
) -> tuple[ServerOptimiser, list[float]]:
    """Run all rounds; returns the optimiser and the loss of each round."""
    steps = [LocalStep(plan, encoder) for _ in cohorts]
    optimiser = ServerOptimiser(plan, encoder, start)
    losses = []
    for _ in range(plan.rounds):
        weights = optimiser.weights
        updates = [
            step.noisy_sum(weights, cohort.x, cohort.y)
            for step, cohort in zip(steps, cohorts, strict=True)
        ]
        sizes = [len(cohort.x) for cohort in cohorts]
        result = aggregate(updates, plan, sizes, optimiser.parameters)
        optimiser.step(result.gradient, result.noise)
        losses.append(result.loss)
    return optimiser, losses


def opened(
    plan: CampaignPlan,
    encoder: Encoder,
    weights: Weights,
    cohorts: Sequence[Cohort],
    previous: Weights | None = None,
    noise: float | None = None,
) -> Opened:
    """The nodes' tallies summed; nobody is held out but where a cohort says so."""
    tally = Tally(plan.evaluation, encoder)
    noise = plan.privacy.node_tally_noise if noise is None else noise
    total = np.zeros(tally.layout.size, np.int64)
    for cohort in cohorts:
        held = np.zeros(len(cohort.x), bool) if cohort.held is None else cohort.held
        people = People(cohort.x, cohort.y, held)
        total += tally.layout.noisy(tally.count(weights, previous, people), noise)
    return Opened(tally.layout, total, len(cohorts), noise)


def publish(
    plan: CampaignPlan, catalogue: Catalogue, weights: Weights, cohorts: Sequence[Cohort]
) -> Bundle:
    """Calibrate on the nodes' noisy tallies and wrap up."""
    table = opened(plan, Encoder(catalogue), weights, cohorts).tables()[CALIBRATION]
    counts, calibration = table.counts, fit(table.counts, table.deviation)
    scale = Scale()
    manifest = Manifest(
        version="test-1",
        created_at_ms=0,
        campaign_id=plan.campaign_id,
        plan_sha256=plan.sha256,
        catalogue_version=catalogue.version,
        catalogue_sha256=catalogue.sha256,
        architecture=plan.architecture,
        width=Encoder(catalogue).width,
        calibration=calibration,
        scale=scale,
        bands=bands(counts, calibration, scale),
        privacy=plan.privacy,
        epsilon=epsilon(privacy_charges(plan.privacy, plan.rounds), plan.privacy.delta),
        rounds=plan.rounds,
        members=plan.members,
        metrics={},
    )
    return Bundle.load(*Bundle(manifest, weights).pack())
