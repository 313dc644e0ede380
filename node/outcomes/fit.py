"""How the PD of this node's scores compares with what became of them; nothing of it leaves.

The newest version of each outcome that is a label, by model. It is exact, for whoever runs the
node: it must not be passed on.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from models.metrics import auc, brier
from node.storage.reported_outcomes import Reported

FEWEST = 50
"""Fewer outcomes say nothing about a model."""


@dataclass(frozen=True, slots=True)
class OutcomeFit:
    """Scores of one model version against their outcomes.

    Attributes:
        outcomes: labels known.
        defaults: of them.
        mean_pd: what the scores expected on average.
        default_rate: what came.
        brier: mean squared error of the PD.
        auc: None: only one kind of outcome.
        verdict: `too_few`, `fits`, or `off`: the rate is further from the mean PD than chance
            explains in 99.7 of 100 cases (three standard errors of a binomial share).
    """

    model: str
    outcomes: int
    defaults: int
    mean_pd: float
    default_rate: float
    brier: float
    auc: float | None
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)


def outcome_fit(reported: Sequence[Reported]) -> list[OutcomeFit]:
    """One entry a model version, sorted by it; of scores without a PD or a label nothing."""
    known = sorted(
        (one for one in reported if one.label is not None and one.pd is not None),
        key=lambda one: one.model,
    )
    return [_fit(model, list(group)) for model, group in groupby(known, lambda one: one.model)]


def _fit(model: str, known: list[Reported]) -> OutcomeFit:
    labels = np.array([one.label for one in known], dtype=np.float64)
    pd = np.array([one.pd for one in known], dtype=np.float64)
    mean, rate = float(pd.mean()), float(labels.mean())
    error = float(np.sqrt((pd * (1 - pd)).sum())) / len(known)
    off = abs(rate - mean) > 3 * error
    return OutcomeFit(
        model=model,
        outcomes=len(known),
        defaults=int(labels.sum()),
        mean_pd=mean,
        default_rate=rate,
        brier=brier(labels, pd),
        auc=auc(labels, pd) if 0 < labels.sum() < len(known) else None,
        verdict="too_few" if len(known) < FEWEST else "off" if off else "fits",
    )
