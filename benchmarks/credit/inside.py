"""What a bank makes for itself: own models without privacy, and their blend with a shared score.

Both are what `credence node own-models` keeps (models/baselines/kept.py); nothing of them leaves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.credit.federated import Cohort
from models.baselines.kept import SHARED_FUSION, Own, SharedScore, finish, fit_own
from models.calibration import Calibration
from models.encoder import Encoder
from models.metrics import auc, ece
from models.weights import Weights

OWN = "each bank's scorecard and trees, no privacy"
NETWORK = "each bank alone, no privacy"
FUSED = "fused inside each bank"
Row = dict[str, Any]


class InsideBanks:
    """The institutions' own halves, fitted once; scores are blended with them.

    Args:
        encoder: of the catalogue.
        parts: each institution's training rows.
        tests: each institution's held-out rows.
        seed: of folds and fits.
    """

    def __init__(
        self, encoder: Encoder, parts: Sequence[Cohort], tests: Sequence[Cohort], seed: int
    ) -> None:
        self._parts, self._tests = parts, tests
        self._own: list[Own] = [
            fit_own(encoder, SHARED_FUSION, part.x, part.y, seed) for part in parts
        ]

    def own(self) -> dict[str, Row]:
        """The own halves by themselves."""
        found = [
            auc(test.y, np.sum([part.share(test.x) for part in own.parts], axis=0))
            for own, test in zip(self._own, self._tests, strict=True)
        ]
        return {OWN: {"banks": found}}

    def fused(self, weights: Weights, calibration: Calibration) -> Row:
        """A shared score blended inside each institution.

        Args:
            weights: of the shared network.
            calibration: its own.
        """
        shared = SharedScore("benchmark", "", weights, calibration)
        labels, risks, found = [], [], []
        for own, part, test in zip(self._own, self._parts, self._tests, strict=True):
            logit = finish(own, part.x, part.y, shared).model.logit(test.x)
            found.append(auc(test.y, logit))
            labels.append(test.y)
            risks.append(logit)
        y, pd = np.concatenate(labels), 1 / (1 + np.exp(-np.concatenate(risks)))
        return {"banks": found, "ece": ece(y, pd), "mean_pd": float(pd.mean())}


def compared(rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each fused row against each institution's own models, over all splits and institutions.

    Args:
        rows: the report's, by name; those without their own models give nothing.
    """
    found = []
    for name in (one for one in rows if one.startswith(FUSED)):
        for own in (one for one in (NETWORK, OWN) if one in rows):
            cells = "auc_by_split_and_bank"
            gap = np.array(rows[name][cells]) - np.array(rows[own][cells])
            found.append(
                {
                    "fused": name,
                    "own": own,
                    "cells": int(gap.size),
                    "at_or_above": int((gap >= 0).sum()),
                    "least": round(float(gap.min()), 4),
                    "mean": round(float(gap.mean()), 4),
                }
            )
    return found
