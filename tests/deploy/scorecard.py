"""How well simple models rank held-out people, to hold the populations to realistic figures."""

from pathlib import Path

import numpy as np

from deploy.sandbox import holdout, records_out
from deploy.sandbox.identities import identifiers
from models.catalogue import SignalStatus, load_default
from node.records.cleaning import clean
from node.records.connectors import CsvDirectory
from node.signals.compute import compute
from node.signals.windows import AsOf

CATALOGUE = load_default()
SPECS = [spec for spec in CATALOGUE.signals if spec.derived is None]


def signals_of_everybody(population, directory: Path):
    """Status and value of every person of a population, in its order, from all members' files."""
    written = records_out.write(population, directory / "inbox", directory / "holdout.csv")
    place = {name: at for at, name in enumerate(identifiers(population.seed, population.person_id))}
    status = np.full((len(population), len(SPECS)), SignalStatus.NOT_HELD, dtype=np.uint8)
    value = np.zeros(status.shape)
    for member in written.directories.values():
        records = clean(CsvDirectory(member).read())
        found = compute(records, [spec.id for spec in SPECS], AsOf(written.as_of_ms))
        rows = [place[name] for name in records.customers["identifier"].to_pylist()]
        held = found.status != SignalStatus.NOT_HELD
        status[rows] = np.where(held, found.status, status[rows])
        value[rows] = np.where(held, found.value, value[rows])
    return status, value


def held_out_auc(population, status, value, blocks) -> float:
    """AUC on the held-out people of a logistic regression on the binned signals of some blocks."""
    columns = [at for at, spec in enumerate(SPECS) if spec.block in blocks]
    x = np.column_stack([_bins(status[:, at], value[:, at], SPECS[at].edges) for at in columns])
    held = holdout.choose(population)
    weights = _logistic_regression(x[~held], population.defaulted[~held])
    return auc(x[held] @ weights, population.defaulted[held])


def auc(scores, labels) -> float:
    """Area under the ROC curve: the Mann-Whitney statistic, ties counted half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[inverse]
    bad = labels == 1
    n_bad, n_good = bad.sum(), (~bad).sum()
    return float((ranks[bad].sum() - n_bad * (n_bad + 1) / 2) / (n_bad * n_good))


def _bins(status, value, edges):
    present = status == SignalStatus.PRESENT
    above = [present & (value > edge) for edge in edges]
    flags = [status == SignalStatus.NONE_ON_RECORD, status == SignalStatus.NOT_HELD]
    return np.column_stack([*above, *flags, np.ones(len(status))]).astype(float)


def _logistic_regression(x, y, ridge=5.0, steps=12):
    weights = np.zeros(x.shape[1])
    for _ in range(steps):  # Newton's method
        chance = 1 / (1 + np.exp(-(x @ weights)))
        gradient = x.T @ (chance - y) + ridge * weights
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + ridge * np.eye(x.shape[1])
        weights -= np.linalg.solve(curvature, gradient)
    return weights
