"""The classic scorecard: logistic regression on weights of evidence of public bins.

A bin's weight of evidence is the log-odds of default in it less those of everybody, drawn to zero
by a few made-up rows at the average rate, so that a bin that nobody is in says nothing. Where the
catalogue claims a direction the value bins' default rates are made to follow it (pool adjacent
violators: Ayer et al. 1955) and the regression's weight may not turn it around.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.baselines.additive import Additive, bins_of
from models.baselines.interface import Floats, Labels
from models.baselines.regression import fit_logit
from models.encoder import Encoded, Encoder

# Made-up rows a bin, at the average default rate.
SMOOTHING = 10.0
RIDGE = 1.0


@dataclass(frozen=True)
class WoeLogistic:
    """Logistic regression on weights of evidence."""

    encoder: Encoder
    kind: str = "woe_logistic"
    monotone: bool = True

    def learn(self, x: Encoded, y: Labels, seed: int) -> Additive:
        """Fit; nothing is drawn, so the seed changes nothing."""
        del seed
        bins = bins_of(self.encoder, x)
        signals = self.encoder.catalogue.signals
        tables = [
            weights_of_evidence(bins[:, number], y, len(spec.edges), spec.monotone)
            for number, spec in enumerate(signals)
        ]
        evidence = np.column_stack([table[bins[:, n]] for n, table in enumerate(tables)])
        directed = np.array([spec.monotone != 0 for spec in signals])
        weights = fit_logit(evidence, y, ridge=RIDGE, nonnegative=directed)
        scaled = tuple(table * weight for table, weight in zip(tables, weights[:-1], strict=True))
        return Additive(self.encoder, scaled, float(weights[-1]))


def weights_of_evidence(bins: NDArray[np.int64], y: Labels, edges: int, direction: int) -> Floats:
    """Weight of evidence of each bin of one signal, higher is riskier, float64[edges + 3].

    Args:
        bins: [n], as `bins_of` gives them.
        y: [n], 1 = default.
        edges: of the signal.
        direction: the catalogue's claim, -1, 0 or 1.
    """
    everyone: Floats = np.bincount(bins, minlength=edges + 3).astype(np.float64) + SMOOTHING
    average = float(np.mean(y))
    rate = (np.bincount(bins[y == 1], minlength=edges + 3) + SMOOTHING * average) / everyone
    if direction:
        values = slice(0, edges + 1)
        turned = pool(direction * rate[values], everyone[values])
        rate[values] = direction * turned
    return np.asarray(np.log(rate / (1 - rate)) - np.log(average / (1 - average)))


def pool(values: Floats, weight: Floats) -> Floats:
    """The non-decreasing sequence nearest to `values` in weighted squares (pool adjacent)."""
    means: list[float] = []
    weights: list[float] = []
    lengths: list[int] = []
    for value, one in zip(values.tolist(), weight.tolist(), strict=True):
        mean, mass, length = value, one, 1
        while means and means[-1] > mean:
            other, size = means.pop(), weights.pop()
            mean = (mean * mass + other * size) / (mass + size)
            mass += size
            length += lengths.pop()
        means.append(mean)
        weights.append(mass)
        lengths.append(length)
    return np.repeat(means, lengths)
