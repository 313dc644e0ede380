"""Ridge logistic regression by Newton steps, with weights that may be held at or above zero."""

import numpy as np
from numpy.typing import NDArray

from models.baselines.interface import Floats, Labels
from models.calibration import sigmoid

_STEPS = 50
_SWEEPS = 500
_SMALL = 1e-9


def fit_logit(x: Floats, y: Labels, *, ridge: float, nonnegative: NDArray[np.bool_]) -> Floats:
    """Weights that make the labels most likely, less ridge/2 |w|^2 over all but the intercept.

    Each Newton step minimises the quadratic model under the bounds by coordinate descent and is
    halved until the objective falls: the objective is convex, so this finds its one minimum.

    Args:
        x: float64[n, k].
        y: [n], 1 = default.
        ridge: above 0.
        nonnegative: bool[k], weights that must not fall below zero.

    Returns:
        float64[k + 1], the intercept last.
    """
    rows = np.column_stack([x, np.ones(len(x))])
    penalty = np.append(np.full(x.shape[1], ridge), 1e-6)
    bounded = np.append(nonnegative, False)
    weights = np.zeros(rows.shape[1])
    value = _objective(rows, y, weights, penalty)
    for _ in range(_STEPS):
        p = sigmoid(rows @ weights)
        gradient = rows.T @ (p - y) + penalty * weights
        hessian = (rows * (p * (1 - p))[:, None]).T @ rows + np.diag(penalty)
        step = descend(hessian, gradient, weights, bounded)
        size = 1.0
        while _objective(rows, y, weights + size * step, penalty) > value and size > _SMALL:
            size /= 2
        weights = weights + size * step
        value = _objective(rows, y, weights, penalty)
        if float(np.abs(size * step).max()) < 1e-8:
            break
    return weights


def _objective(rows: Floats, y: Labels, weights: Floats, penalty: Floats) -> float:
    z = rows @ weights
    return float(np.logaddexp(0, z).sum() - z @ y + 0.5 * (penalty @ weights**2))


def descend(
    hessian: Floats, gradient: Floats, weights: Floats, bounded: NDArray[np.bool_]
) -> Floats:
    """The step d with least gradient.d + d.hessian.d/2 and weights + d >= 0 where bounded."""
    step = np.zeros_like(weights)
    slope = gradient.copy()
    for _ in range(_SWEEPS):
        largest = 0.0
        for j in range(len(step)):
            wanted = step[j] - slope[j] / hessian[j, j]
            if bounded[j]:
                wanted = max(wanted, -weights[j])
            change = wanted - step[j]
            if change:
                step[j] = wanted
                slope += hessian[:, j] * change
                largest = max(largest, abs(change))
        if largest < _SMALL:
            break
    return step
