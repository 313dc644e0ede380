"""The network's WOE scorecard under privacy: two noised sums and a calibration histogram.

What models/baselines/federated_woe.py makes, with all of its noise; a campaign does not run it yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.credit.federated import Cohort
from models.baselines import federated_woe
from models.baselines.additive import Additive
from models.calibration import BINS, EDGES, Calibration, fit
from models.encoder import Encoded, Encoder
from models.evaluation import outcome_cells
from models.plan import TrustMode
from models.privacy.accountant import epsilon as epsilon_of
from models.privacy.accountant import noise_multiplier_for
from models.privacy.charge import tally_charge
from models.tally import Block, Layout

CALIBRATION = "scorecard_calibration"
CALIBRATION_NOISE = 12.0


@dataclass(frozen=True)
class FederatedScorecard:
    """A scorecard of the network.

    Attributes:
        core: its raw risk.
        calibration: from it to a probability.
        epsilon: what it promises.
        alone: epsilon by a node's own noise.
    """

    core: Additive
    calibration: Calibration
    epsilon: float
    alone: float

    def pd(self, x: Encoded) -> np.ndarray:
        """Probability of default, float64[n]."""
        return self.calibration.pd(self.core.raw(x))


def make_scorecard(
    encoder: Encoder,
    cohorts: Sequence[Cohort],
    *,
    epsilon: float,
    delta: float,
    mode: TrustMode,
) -> FederatedScorecard:
    """Make one, all of its epsilon spent.

    Args:
        encoder: of the catalogue.
        cohorts: each institution's training rows.
        epsilon: ceiling of the whole.
        delta: where it holds.
        mode: `local`: each institution adds all of the noise; `distributed`: its share.
    """
    calibration = tally_charge(CALIBRATION, CALIBRATION_NOISE)
    promised = noise_multiplier_for(epsilon, delta, 1.0, 2, [(calibration, 1)])
    nodes = len(cohorts)
    own = 1.0 if mode == "local" else 1 / float(np.sqrt(nodes))
    noise = promised * own
    plan = federated_woe.layout(encoder)
    tallies = [
        plan.noisy(plan.add(federated_woe.cells(encoder, one.x, one.y)), noise) for one in cohorts
    ]
    counts = plan.read(np.sum(tallies, axis=0, dtype=np.int64))
    deviation = noise * plan.sensitivity * float(np.sqrt(nodes))
    found = federated_woe.evidence(encoder, counts, deviation)
    sums = [
        federated_woe.noisy_moments(federated_woe.moments(encoder, found, one.x), noise)
        for one in cohorts
    ]
    core = federated_woe.scorecard(encoder, found, np.sum(sums, axis=0, dtype=np.int64))
    least = CALIBRATION_NOISE * own
    table = Layout((Block(CALIBRATION, (BINS, 2)),))
    risks = [{CALIBRATION: outcome_cells(core.raw(one.x), one.y, EDGES)} for one in cohorts]
    total = np.sum([table.noisy(table.add(one), least) for one in risks], axis=0, dtype=np.int64)
    curve = fit(table.read(total)[CALIBRATION], table.deviation(CALIBRATION, least, nodes))
    spent = [
        epsilon_of(
            [
                *federated_woe.charges(promised * share, promised * share),
                (tally_charge(CALIBRATION, CALIBRATION_NOISE * share), 1),
            ],
            delta,
        )
        for share in (1.0, own)
    ]
    return FederatedScorecard(core, curve, spent[0], spent[1])
