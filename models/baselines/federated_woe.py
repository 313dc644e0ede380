"""The WOE scorecard of a network, from two noised sums; nobody's rows are seen.

1. A tally (models/tally.py): people by bin and outcome, one table a signal. It gives each bin's
   weight of evidence, pooled along the catalogue's directions, and everybody's means.
2. A second moment: each person's evidences, rounded to whole steps of 1/`STEP` and shortened to at
   most `LENGTH` of them, times themselves, added up. Weights are those of the regression of the
   outcome on the evidences (Fisher's discriminant), held at or above zero where the catalogue
   claims a direction.

Both are sums of integers of a known L2 sensitivity with discrete Gaussian noise, so they are masked
and charged as all other sums are (`charges`); what is made of them costs nothing more. Calibration
is a third release, the usual histogram. Fisher's weights are close to those of a logistic
regression, whose many steps would each cost noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.baselines.additive import Additive, bins_of
from models.baselines.interface import Floats, Labels
from models.baselines.regression import descend
from models.baselines.woe import SMOOTHING, pool
from models.encoder import Encoded, Encoder
from models.privacy.charge import Charge, tally_charge
from models.privacy.noise import discrete_gaussian
from models.tally import Block, Cells, Counts, Layout
from protocols.errors import InvalidInput

TABLES = "scorecard_tables"
MOMENTS = "scorecard_moments"
# Chosen once on synthetic worlds.
STEP = 64
LENGTH = 8.0
RIDGE = 0.02
NOISE_SMOOTHING = 8.0

_RADIUS = int(LENGTH * STEP)
# Products of two coordinates, each counted once: the upper triangle of a vector's square.
_SENSITIVITY = float(_RADIUS**2)


@dataclass(frozen=True)
class Evidence:
    """What the tally says.

    Attributes:
        tables: weight of evidence of each bin, float64[k + 3] for each signal, centred.
        average: share of defaults.
        people: how many.
        covariance: float64[signals], of evidence and outcome.
    """

    tables: tuple[Floats, ...]
    average: float
    people: float
    covariance: Floats


def layout(encoder: Encoder) -> Layout:
    """One table of bins by outcome for each signal."""
    signals = zip(encoder.catalogue.signals, encoder.columns, strict=True)
    return Layout(tuple(Block(spec.id, (place.edges + 3, 2)) for spec, place in signals))


def cells(encoder: Encoder, x: Encoded, y: Labels) -> dict[str, Cells]:
    """Where each person counts in `layout`, by block: int64[n]."""
    bins = bins_of(encoder, x)
    bad = (np.asarray(y) == 1).astype(np.int64)
    names = (spec.id for spec in encoder.catalogue.signals)
    return {name: bins[:, number] * 2 + bad for number, name in enumerate(names)}


def charges(tables_noise: float, moments_noise: float) -> Sequence[tuple[Charge, int]]:
    """What both sums cost, by the noise multipliers that are in them."""
    return [(tally_charge(TABLES, tables_noise), 1), (tally_charge(MOMENTS, moments_noise), 1)]


def evidence(encoder: Encoder, counts: Mapping[str, Floats], deviation: float) -> Evidence:
    """Weights of evidence from an opened tally.

    A bin leans towards the average by made-up people, more of them where noise drowns it.

    Args:
        encoder: of the catalogue.
        counts: float64[k + 3, 2] by signal, as `Layout.read` gives it; below zero where noise is.
        deviation: of the noise in a cell, in people.

    Raises:
        InvalidInput: the tally shows no people of one of the outcomes.
    """
    signals = encoder.catalogue.signals
    everybody = np.mean([counts[spec.id].sum(axis=0) for spec in signals], axis=0)
    people, bad = float(everybody.sum()), float(everybody[1])
    if min(bad, people - bad) <= max(4 * deviation, 20):
        raise InvalidInput("the tally shows too few people of an outcome for a scorecard")
    average = bad / people
    tables, shares = [], []
    for spec in signals:
        found = np.maximum(counts[spec.id], 0.0)
        made_up = SMOOTHING + NOISE_SMOOTHING * deviation
        total = found.sum(axis=1) + made_up
        rate = (found[:, 1] + made_up * average) / total
        if spec.monotone:
            values = slice(0, len(spec.edges) + 1)
            rate[values] = spec.monotone * pool(spec.monotone * rate[values], total[values])
        rate = np.clip(rate, 1e-3, 1 - 1e-3)
        table = np.log(rate / (1 - rate))
        weight = found.sum(axis=1) / max(float(found.sum()), 1.0)
        tables.append(table - float(weight @ table))
        shares.append(float((found[:, 1] - average * found.sum(axis=1)) @ tables[-1]) / people)
    return Evidence(tuple(np.asarray(one) for one in tables), average, people, np.array(shares))


def moments(encoder: Encoder, found: Evidence, x: Encoded) -> Counts:
    """Sum of everybody's products of evidences, int64[m (m + 1) / 2]; it must not leave as it is.

    Args:
        encoder: of the catalogue.
        found: what the tally said, the same for all nodes.
        x: float32[n, width].
    """
    bins = bins_of(encoder, x)
    columns = [table[bins[:, number]] for number, table in enumerate(found.tables)]
    rows = np.column_stack(columns) * STEP
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    # Rounded towards zero, so that no row grows beyond the radius.
    short = np.trunc(rows * np.minimum(1.0, _RADIUS / np.maximum(length, 1e-9)))
    square = short.T @ short  # whole numbers below 2^53: exact
    return np.asarray(square[np.triu_indices(len(found.tables))], np.int64)


def noisy_moments(sums: Counts, noise_multiplier: float) -> Counts:
    """What may leave of `moments`: with this node's noise."""
    return sums + discrete_gaussian(noise_multiplier * _SENSITIVITY, len(sums))


def scorecard(encoder: Encoder, found: Evidence, sums: Counts) -> Additive:
    """The scorecard of a tally and an opened sum of `noisy_moments`.

    Args:
        encoder: of the catalogue.
        found: what the tally said.
        sums: int64[m (m + 1) / 2].

    Raises:
        InvalidInput: sums of another size.
    """
    size = len(found.tables)
    if sums.shape != (size * (size + 1) // 2,):
        raise InvalidInput("moments of another catalogue")
    square = np.zeros((size, size))
    square[np.triu_indices(size)] = sums / (STEP**2 * found.people)
    square = square + np.triu(square, 1).T
    directed = np.array([spec.monotone != 0 for spec in encoder.catalogue.signals])
    weights = _regress(square, found.covariance, directed)
    # A regression's slope is that of the mean odds' derivative.
    weights = weights / (found.average * (1 - found.average))
    tables = tuple(t * w for t, w in zip(found.tables, weights, strict=True))
    return Additive(encoder, tables, math.log(found.average / (1 - found.average)))


def _regress(square: Floats, covariance: Floats, bounded: NDArray[np.bool_]) -> Floats:
    """Weights with square @ weights near covariance, ridge added; noise may not make it concave."""
    values, vectors = np.linalg.eigh(square)
    floor = RIDGE * max(float(values.max()), 1e-9)
    firm = (vectors * (np.maximum(values, 0.0) + floor)) @ vectors.T
    return descend(firm, -covariance, np.zeros(len(covariance)), bounded)
