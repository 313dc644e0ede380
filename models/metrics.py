"""Measures of a credit score: rank (AUC, KS), probability (Brier, ECE), drift (PSI)."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating | np.integer]


def auc(labels: Array, risk: Array) -> float:
    """Area under the ROC curve, ties counted half (Mann-Whitney); nan without both classes.

    Args:
        labels: [n], 1 = default.
        risk: [n], higher = riskier.
    """
    positives = np.asarray(labels) == 1
    high, low = int(positives.sum()), int((~positives).sum())
    if high == 0 or low == 0:
        return float("nan")
    _, inverse, counts = np.unique(np.asarray(risk), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mid_ranks = ends - (counts - 1) / 2
    rank_sum = float(mid_ranks[inverse][positives].sum())
    return (rank_sum - high * (high + 1) / 2) / (high * low)


def ks(labels: Array, risk: Array) -> float:
    """Kolmogorov-Smirnov distance between the two classes' risk; nan without both classes."""
    positives = np.asarray(labels) == 1
    if positives.all() or not positives.any():
        return float("nan")
    _, inverse = np.unique(np.asarray(risk), return_inverse=True)
    bins = int(inverse.max()) + 1
    bad = np.bincount(inverse[positives], minlength=bins).cumsum() / positives.sum()
    good = np.bincount(inverse[~positives], minlength=bins).cumsum() / (~positives).sum()
    return float(np.abs(bad - good).max())


def brier(labels: Array, pd: Array) -> float:
    """Mean squared error of the probability."""
    return float(np.mean((np.asarray(pd, np.float64) - np.asarray(labels)) ** 2))


def ece(labels: Array, pd: Array, bins: int = 10) -> float:
    """Expected calibration error over bins of equal count (Naeini et al. 2015)."""
    order = np.argsort(np.asarray(pd), kind="stable")
    if not order.size:
        return float("nan")
    gaps = [
        abs(float(np.mean(np.asarray(pd)[part]) - np.mean(np.asarray(labels)[part]))) * part.size
        for part in np.array_split(order, bins)
        if part.size
    ]
    return sum(gaps) / order.size


def psi(expected: Array, actual: Array) -> float:
    """Population stability index of two histograms over the same bins (.10 watch, .25 act).

    Args:
        expected: counts per bin then.
        actual: counts per bin now.
    """
    then = np.maximum(np.asarray(expected, np.float64), 0.5)
    now = np.maximum(np.asarray(actual, np.float64), 0.5)
    then, now = then / then.sum(), now / now.sum()
    return float(np.sum((now - then) * np.log(now / then)))
