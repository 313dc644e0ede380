"""What a table is compared with: trained on all rows in one place, and mostly without privacy.

LightGBM's settings are those that did best on the table's own cross-validation in our notes of
2026; they favour the rival. DP-EBM is given public ranges and the same epsilon and delta.
"""

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.credit.priors import ridge_logit
from models.encoder import Encoded, Encoder

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
# Rounds, rate and leaves of a model of tens of thousands of rows; smaller banks get fewer leaves.
_LIGHTGBM = {
    "n_estimators": 400,
    "learning_rate": 0.02,
    "num_leaves": 15,
    "min_child_samples": 60,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.4,
    "reg_lambda": 5.0,
    "verbose": -1,
    "n_jobs": 1,
}


def lightgbm(x: Floats, y: Labels, test_x: Floats, seed: int) -> Floats:
    """Risk by gradient-boosted trees, float64[m]."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(**_LIGHTGBM, random_state=seed).fit(x, y)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return np.asarray(model.predict_proba(test_x)[:, 1])


def logistic(x: Floats, y: Labels, test_x: Floats) -> Floats:
    """Risk by logistic regression on standardised columns, empty ones at their mean."""
    middle, spread = np.nanmean(x, axis=0), np.nanstd(x, axis=0) + 1e-12

    def standard(part: Floats) -> Floats:
        return np.asarray(np.nan_to_num((part - middle) / spread, nan=0.0))

    weights = ridge_logit(standard(x), y, 1.0)
    return np.asarray(standard(test_x) @ weights[:-1], np.float64)


def woe_scorecard(encoder: Encoder, x: Encoded, y: Labels, test_x: Encoded) -> Floats:
    """Risk by the classic scorecard: logistic regression on each signal's weight of evidence."""
    curves = np.zeros((encoder.width, len(encoder.columns)))
    for number, place in enumerate(encoder.columns):
        columns = slice(place.start, place.stop)
        curves[columns, number] = ridge_logit(x[:, columns], y, 1.0)[:-1]
    weights = ridge_logit(x @ curves, y, 1.0)
    return np.asarray((test_x @ curves) @ weights[:-1])


def dp_ebm(
    columns: Mapping[str, Floats],
    test_columns: Mapping[str, Floats],
    y: Labels,
    ranges: Mapping[str, tuple[float, float]],
    epsilon: float,
    delta: float,
    seed: int,
) -> Floats:
    """Risk by interpret's differentially private explainable boosting machine, float64[m].

    Args:
        columns: of the training rows; those with a public range are read, empty ones at its low.
        test_columns: of the test rows.
        y: labels.
        ranges: public range of each column.
        epsilon: of the whole model.
        delta: where it holds.
        seed: of its noise.
    """
    from interpret.privacy import DPExplainableBoostingClassifier

    def matrix(part: Mapping[str, Floats]) -> Floats:
        return np.stack(
            [np.nan_to_num(part[name], nan=low).clip(low, high)
             for name, (low, high) in ranges.items()],
            axis=1,
        )  # fmt: skip

    bounds = np.array(list(ranges.values()), np.float64)
    model = DPExplainableBoostingClassifier(
        feature_types=["continuous"] * len(ranges),
        privacy_bounds=bounds,
        epsilon=epsilon,
        delta=delta,
        random_state=seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of what it was told
        model.fit(matrix(columns), y)
        return np.asarray(model.predict_proba(matrix(test_columns))[:, 1])
