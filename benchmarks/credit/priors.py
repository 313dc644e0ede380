"""A prior from synthetic worlds: where to start, and the few directions in which to learn.

1. In each world, each signal alone gets the curve that predicts default best from its bins (its
   weight of evidence, by ridge logistic regression). Over worlds a signal's curves span few shapes;
   the first `rank` principal ones are kept, each as long as it is common.
2. The shapes of all signals are turned against each other so that, with what clipping leaves of a
   row, the mean second derivative of the loss is as alike in all directions as `power` asks.
3. The start is the network trained, without privacy, on the people of all worlds.
No real person's record is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.credit.table import Recipe
from benchmarks.credit.worlds import draw, sigmoid
from models.encoder import Encoded, Encoder
from models.local_step import drop_blocks
from models.plan import Architecture
from models.prior import MAX_ENTRY, Prior
from models.training import fit_plain
from models.weights import flatten, logit, unflatten

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PriorSettings:
    """How a prior is made.

    Attributes:
        worlds: how many.
        people: of each.
        rank: shapes of a signal.
        energy: 0: every shape counts alike; 1: as much as its curves vary.
        ridge: added to a direction's second derivative before it is evened out.
        power: 0.5 evens out, 0 leaves as it is.
        deep_scale: of the hidden part.
        epochs: of the start.
    """

    worlds: int = 8
    people: int = 6_000
    rank: int = 6
    energy: float = 0.25
    ridge: float = 0.3
    power: float = 0.25
    deep_scale: float = 0.0
    epochs: int = 8


def make_prior(
    recipe: Recipe,
    architecture: Architecture,
    settings: PriorSettings,
    first_world: int = 1_000,
) -> Prior:
    """Make one.

    Args:
        recipe: names the signals; its formulas run on the worlds' columns.
        architecture: of the network.
        settings: how.
        first_world: seed of the first world.
    """
    encoder = Encoder(recipe.catalogue)
    tables = [draw(first_world + number, settings.people) for number in range(settings.worlds)]
    parts = [
        drop_blocks(
            encoder, encoder.encode(*recipe.signals(table.columns)), architecture.block_dropout
        )
        for table in tables
    ]
    labels = [table.label for table in tables]
    x, y = np.concatenate(parts), np.concatenate(labels)
    shapes = _shapes(encoder, parts, labels, settings)
    start = fit_plain(encoder, architecture, x, y, seed=0, epochs=settings.epochs)
    chance = sigmoid(logit(start, x))
    centre, directions, curvature = _directions(x, chance, shapes, settings)
    unit = 2.0 ** np.ceil(np.log2(np.abs(directions).max() / MAX_ENTRY))
    matrix = np.rint(directions / unit)
    return Prior(
        matrix=matrix.astype(np.int16),
        centre=np.rint(centre @ matrix).astype(np.int32),
        unit=float(unit),
        curvature=curvature,
        deep_scale=settings.deep_scale,
        start=unflatten(flatten(start), architecture, encoder.width),
    )


def _shapes(
    encoder: Encoder,
    parts: Sequence[Encoded],
    labels: Sequence[NDArray[np.int64]],
    settings: PriorSettings,
) -> Floats:
    """Principal curves of each signal over the worlds, float64[width, shapes]."""
    pooled = np.concatenate(parts).astype(np.float64)
    shapes = []
    for place in encoder.columns:
        columns = slice(place.start, place.stop)
        bins = pooled[:, columns] - pooled[:, columns].mean(axis=0)
        curves = np.stack(
            [ridge_logit(x[:, columns], y, 20.0)[:-1] for x, y in zip(parts, labels, strict=True)],
            axis=1,
        )
        values = bins @ curves
        spread, turn = np.linalg.eigh(values.T @ values / len(values))
        for number in range(1, min(settings.rank, len(parts)) + 1):
            if spread[-number] < 1e-3 * max(spread[-1], 1e-12):
                break
            shape = np.zeros(encoder.width)
            shape[columns] = curves @ turn[:, -number] / np.sqrt(spread[-number])
            shapes.append(shape * (spread[-number] / spread[-1]) ** (settings.energy / 2))
    return np.stack(shapes, axis=1)


def _directions(
    x: Encoded, chance: Floats, shapes: Floats, settings: PriorSettings
) -> tuple[Floats, Floats, float]:
    """Centre float64[width], directions float64[width, k] and their curvature at clip 1."""
    values = (x - x.mean(axis=0)) @ shapes
    weight = _weight(values, chance)
    second, turn = np.linalg.eigh(_second(values, weight))
    turn = turn / (np.maximum(second, 0) + settings.ridge) ** settings.power
    directions = shapes @ turn
    centre = weight @ x / weight.sum()
    moved = (x - centre) @ directions
    weight = _weight(moved, chance)
    return centre, directions, float((weight @ moved**2).max() / len(x))


def _weight(values: Floats, chance: Floats) -> Floats:
    """Second derivative of each row's clipped loss by its log-odds, for a small clip of 1."""
    length = np.sqrt((values**2).sum(axis=1) + 1)
    return np.asarray(chance * (1 - chance) / (np.maximum(chance, 1 - chance) * length))


def _second(values: Floats, weight: Floats) -> Floats:
    away = values - weight @ values / weight.sum()
    return np.asarray((away * weight[:, None]).T @ away / weight.sum())


def ridge_logit(x: NDArray[np.floating], y: NDArray[np.int64], ridge: float) -> Floats:
    """Logistic regression by Newton's method; float64[columns + 1], the intercept last."""
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float64)
    penalty = np.full(design.shape[1], ridge)
    penalty[-1] = 1e-6
    weights = np.zeros(design.shape[1])
    for _ in range(12):
        p = sigmoid(design @ weights)
        second = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        weights -= np.linalg.solve(second, design.T @ (p - y) + penalty * weights)
    return weights
