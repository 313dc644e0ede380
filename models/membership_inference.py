"""Whether a model gives away who it learned from: an attack on the loss, from two histograms.

The attacker knows a person's signals and outcome and calls them a member when the model's loss on
them is low (Yeom, Giacomelli, Fredrikson and Jha 2018, arXiv 1709.01604). How well that does is the
distance between the losses of people the model learned from and of people it was kept from. A
model of epsilon, delta bounds any such attack: the chance of calling a member one is at most
e^epsilon times that of calling another one so, plus delta; the histograms say how much less than
that the model at hand gives away to this attack. Losses are those before calibration, which is a
curve of three numbers and tells members from others no better.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Cells = NDArray[np.int64]

# Public edges of the loss in nats; the outer cells are open.
LOSS_EDGES = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.55, 0.8, 1.2, 2.0])
LOSS_BINS = len(LOSS_EDGES) + 1


def losses(raw: Floats, labels: NDArray[np.floating | np.integer]) -> Floats:
    """Log-loss of each person in nats, float64[n], from raw log-odds of default."""
    sign = np.where(np.asarray(labels) == 1, -1.0, 1.0)
    return np.asarray(np.logaddexp(0.0, sign * np.asarray(raw, np.float64)))


def loss_cells(raw: Floats, labels: NDArray[np.floating | np.integer]) -> Cells:
    """Cell of each person's loss, int64[n] below `LOSS_BINS`."""
    return np.asarray(np.searchsorted(LOSS_EDGES, losses(raw, labels)), np.int64)


def attack_auc(members: Floats, others: Floats) -> Floats:
    """How often a member's loss is below another's, ties counted half; .5 is guessing.

    Args:
        members: float64[..., LOSS_BINS], people the model learned from.
        others: float64[..., LOSS_BINS], people it did not.

    Returns:
        float64[...]; nan without people on both sides.
    """
    below = np.cumsum(members, axis=-1) - members / 2
    pairs = members.sum(axis=-1) * others.sum(axis=-1)
    wins = (others * below).sum(axis=-1)
    out = np.full(np.shape(pairs), np.nan)
    return np.asarray(np.divide(wins, pairs, out=out, where=pairs > 0))


def attack_advantage(members: Floats, others: Floats) -> Floats:
    """Best true less false positive rate over all thresholds; 0 is guessing. See `attack_auc`."""
    inside, outside = members.sum(axis=-1), others.sum(axis=-1)
    known = (inside > 0) & (outside > 0)
    share = np.cumsum(members, axis=-1) / np.where(known, inside, 1.0)[..., None]
    other = np.cumsum(others, axis=-1) / np.where(known, outside, 1.0)[..., None]
    return np.where(known, np.max(share - other, axis=-1, initial=0.0), np.nan)


def most_an_attack_can(epsilon: float, delta: float) -> float:
    """Largest advantage of any attack on one person's membership under (epsilon, delta).

    Source: Humphries et al. 2023 (arXiv 2010.12112), (e^epsilon - 1 + 2 delta) / (e^epsilon + 1),
    for a member and a non-member equally likely.
    """
    if epsilon > 50:
        return 1.0
    return (math.expm1(epsilon) + 2 * delta) / (math.exp(epsilon) + 1)
