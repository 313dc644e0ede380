"""Node updates to one gradient: checked, summed, scaled by public constants only.

The divisor is the expected batch, sampling rate times the cohorts that nodes declared; the number
of rows really sampled is never used, so it is never revealed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.plan import LOSS_CAP, CampaignPlan
from models.privacy.noise import GRID
from models.tally import Layout
from protocols.errors import InvalidInput

# Of one node, where a plan says nothing of it.
MOST_ROWS = 10**9


class UpdateImplausible(InvalidInput):
    """A node's update cannot be a noisy clipped sum of its declared cohort."""

    code = "update_implausible"
    next_step = "Exclude the node from the round and ask its operator to check its version."


class Aggregate(NamedTuple):
    """One round's result.

    Attributes:
        gradient: float64[P], mean gradient of the expected batch, with noise.
        loss: noisy mean loss in nats, differentially private.
        noise: standard deviation of the noise in each coordinate of `gradient`.
    """

    gradient: NDArray[np.float64]
    loss: float
    noise: float


def check_update(
    update: NDArray[np.int64], plan: CampaignPlan, cohort: int, parameters: int
) -> None:
    """Refuse what no honest node sends.

    Raises:
        UpdateImplausible: the update fails a check of `check_total`.
    """
    check_total(update, plan, [cohort], parameters)


def check_total(
    total: NDArray[np.int64], plan: CampaignPlan, cohorts: Sequence[int], parameters: int
) -> None:
    """Refuse what no honest nodes add up to; it works on a sum whose parts nobody sees.

    Checks: 1. int64 of length P + 1; 2. no longer than the clipped sum of generous samples and
    twelve standard deviations of the nodes' noise could be.

    Raises:
        UpdateImplausible: a check fails.
    """
    # 1. Form.
    if total.dtype != np.int64 or total.shape != (parameters + 1,):
        raise UpdateImplausible(
            f"an update is int64[{parameters + 1}], not {total.dtype}{list(total.shape)}"
        )
    # 2. Length. Each cohort was rounded down by up to a tenth and counted with noise.
    privacy = plan.privacy
    rows = sum(1.2 * cohort + 12 * privacy.count_noise + 20 for cohort in cohorts)
    expected = rows * privacy.sampling_rate
    sample = expected + 12 * np.sqrt(expected) + 12
    noise = privacy.node_noise_multiplier * np.sqrt(len(cohorts)) * (np.sqrt(parameters + 1) + 12)
    length = float(np.linalg.norm(total.astype(np.float64)))
    if length > GRID * (sample + noise):
        raise UpdateImplausible("an update is longer than its declared cohort allows")


def check_tally(total: NDArray[np.int64], plan: CampaignPlan, layout: Layout, nodes: int) -> None:
    """Refuse a tally, or a sum of them, that holds an impossible count.

    Args:
        total: int64[layout.size].
        plan: the campaign's plan.
        layout: of its tally.
        nodes: how many nodes' tallies are in it.

    Raises:
        UpdateImplausible: a cell is below nothing, or above everybody, by more than noise can be.
    """
    noise = 40 * plan.privacy.node_tally_noise * layout.spread * nodes
    most = nodes * (plan.aggregation.row_limit or MOST_ROWS)
    if total.min() < -GRID * noise or total.max() > GRID * (most + noise):
        raise UpdateImplausible("a tally holds an impossible count")


def aggregate(
    updates: Sequence[NDArray[np.int64]],
    plan: CampaignPlan,
    cohorts: Sequence[int],
    parameters: int,
) -> Aggregate:
    """Sum the updates of a round.

    Args:
        updates: int64[P + 1] of each node that answered.
        plan: the campaign's plan.
        cohorts: the declared cohort of each of those nodes, in the same order.
        parameters: P.

    Raises:
        UpdateImplausible: there are none, or one fails `check_update`.
    """
    if not updates or len(updates) != len(cohorts):
        raise UpdateImplausible("a round needs one update for each declared cohort")
    for update, cohort in zip(updates, cohorts, strict=True):
        check_update(update, plan, cohort, parameters)
    total: NDArray[np.int64] = np.stack(updates).sum(axis=0, dtype=np.int64)
    return aggregate_total(total, plan, cohorts, parameters)


def aggregate_total(
    total: NDArray[np.int64], plan: CampaignPlan, cohorts: Sequence[int], parameters: int
) -> Aggregate:
    """Scale a round's sum, whoever added it up.

    Args:
        total: int64[P + 1], the sum of the updates in grid units.
        plan: the campaign's plan.
        cohorts: the declared cohort of each node whose update is in the sum.
        parameters: P.

    Raises:
        UpdateImplausible: no node is in it, or it fails `check_total`.
    """
    if not cohorts:
        raise UpdateImplausible("a round needs one update for each declared cohort")
    check_total(total, plan, cohorts, parameters)
    privacy = plan.privacy
    batch = max(1.0, privacy.sampling_rate * sum(cohorts))
    unit = privacy.clip / GRID
    noise = privacy.node_noise_multiplier * float(np.sqrt(len(cohorts)))
    return Aggregate(
        gradient=total[:-1].astype(np.float64) * (unit / batch),
        loss=float(total[-1]) * LOSS_CAP / (privacy.loss_weight * GRID) / batch,
        noise=noise * privacy.clip / batch,
    )
