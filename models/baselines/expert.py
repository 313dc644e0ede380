"""The expert scorecard: whole points on the catalogue's bins, set by hand, learnt from nobody.

Signals whose direction the catalogue claims get points; a family shares its weight among them, and
a bin's points follow its place between the signal's safest and riskiest bin. What is missing, and a
record that is not there, are neutral. Only the calibration sees outcomes.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from models.baselines.additive import Additive
from models.baselines.interface import Floats, Labels
from models.catalogue import SignalSpec
from models.encoder import Encoded, Encoder
from models.scale import Scale

# Points between the safest and the riskiest customer of a family; a family not named has OTHER.
POINTS = {
    "public_record": 200.0,
    "delinquency": 170.0,
    "payment": 120.0,
    "capacity": 80.0,
    "utilisation": 80.0,
    "activity": 40.0,
    "balance": 40.0,
}
OTHER = 60.0
# Log-odds of the catalogue's reference customer: one default in about nine.
BASE = -2.1


@dataclass(frozen=True)
class ExpertScorecard:
    """The learner that learns nothing."""

    encoder: Encoder
    kind: str = "expert_scorecard"
    monotone: bool = True

    def learn(self, x: Encoded, y: Labels, seed: int) -> Additive:
        """The scorecard of the encoder's catalogue, whatever the rows."""
        del x, y, seed
        return self.scorecard()

    def scorecard(self) -> Additive:
        """The same, without any rows."""
        factor = Scale().factor
        return Additive(self.encoder, tuple(table / factor for table in self.points()), BASE)

    def points(self) -> tuple[Floats, ...]:
        """Points that each bin of each signal takes from the score, whole, float64[k + 3] each."""
        signals = self.encoder.catalogue.signals
        sharing = Counter(spec.family for spec in signals if spec.monotone)
        return tuple(
            np.rint(_levels(spec) * POINTS.get(spec.family, OTHER) / max(sharing[spec.family], 1))
            for spec in signals
        )


def _levels(spec: SignalSpec) -> Floats:
    """Risk of each bin against the reference, in shares of the way from safest to riskiest."""
    edges = len(spec.edges)
    levels = np.zeros(edges + 3)
    if not spec.monotone:
        return levels
    risk = np.arange(edges + 1) / edges
    if spec.monotone < 0:
        risk = risk[::-1]
    if spec.reference is None:
        # Nothing on record is unremarkable, and any record is at least one step from it.
        levels[: edges + 1] = (risk * edges + 1) / (edges + 1)
    else:
        levels[: edges + 1] = risk - risk[int((spec.reference > np.array(spec.edges)).sum())]
    return levels
