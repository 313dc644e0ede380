"""Fusion: a stacked logit on the calibrated log-odds of other baselines (Wolpert 1992).

Members are fitted on one part of the rows and weighed on another that they never saw; a weight is
never below zero, so what is monotone in every member is monotone in the fusion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.baselines.interface import (
    RAW_LIMIT,
    Baseline,
    Floats,
    Labels,
    Learner,
    Scorer,
    cut,
)
from models.baselines.regression import fit_logit
from models.encoder import Encoded, Encoder

STACK_SHARE = 0.3
RIDGE = 1.0


@dataclass(frozen=True)
class _Stack:
    """Fitted members and their weights, the intercept last."""

    members: tuple[Scorer, ...]
    weights: Floats

    def raw(self, x: Encoded) -> Floats:
        """Log-odds of default, float64[n]."""
        total = _evidence(self.members, x) @ self.weights[:-1] + self.weights[-1]
        return np.asarray(np.clip(total, -RAW_LIMIT, RAW_LIMIT))

    def facts(self) -> Mapping[str, Any]:
        """The weight of each member."""
        kinds = (member.kind for member in self.members)
        weights = np.round(self.weights[:-1], 4).tolist()
        return {"weights": dict(zip(kinds, weights, strict=True))}


@dataclass(frozen=True)
class Fusion:
    """The members' stacked logit."""

    encoder: Encoder
    members: tuple[Learner, ...]
    kind: str = "fusion"

    @property
    def monotone(self) -> bool:
        """Whether all members are."""
        return all(member.monotone for member in self.members)

    def learn(self, x: Encoded, y: Labels, seed: int) -> _Stack:
        """Fit members, then their weights.

        Raises:
            LabelsUnusable: too few of a class for the members' part.
        """
        learned, kept = cut(y, STACK_SHARE, seed)
        fitted = tuple(
            Baseline(member, self.encoder).fit(x[learned], y[learned], seed)
            for member in self.members
        )
        every = np.ones(len(fitted), bool)
        evidence = _evidence(fitted, x[kept])
        return _Stack(fitted, fit_logit(evidence, y[kept], ridge=RIDGE, nonnegative=every))


def _evidence(members: tuple[Scorer, ...], x: Encoded) -> Floats:
    return np.column_stack([member.logit(x).clip(-RAW_LIMIT, RAW_LIMIT) for member in members])
