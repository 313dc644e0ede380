"""What all baselines share: how they are fitted, and how they answer.

A learner finds a raw risk; `Baseline` keeps a part of the rows aside, fits on it the same monotone
calibration as a bundle's, and puts the result on the same points scale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.calibration import BINS, EDGES, Calibration, fit
from models.catalogue import Catalogue
from models.encoder import Encoded, Encoder
from models.scale import Scale
from protocols.errors import InvalidInput

Floats = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]

# Of each class, for a fit: fewer say nothing of a default rate.
LEAST_OF_A_CLASS = 20
CALIBRATION_SHARE = 0.25
# Log-odds beyond it are certainty that no table of people supports.
RAW_LIMIT = 6.0


class LabelsUnusable(InvalidInput):
    """The outcomes hold one class only, too few of one, or something else than 0 and 1."""

    code = "labels_of_one_class"
    next_step = "Give more outcomes: known defaults (1) and known repayments (0) are both needed."


class Core(Protocol):
    """A fitted learner: risk before calibration."""

    def raw(self, x: Encoded) -> Floats:
        """Log-odds of default, float64[n] from float32[n, width]; higher is riskier."""

    def facts(self) -> Mapping[str, Any]:
        """Settings and shape for the card, as JSON."""


class Learner(Protocol):
    """One way to learn."""

    @property
    def kind(self) -> str:
        """Its name: a word of a-z and _."""

    @property
    def monotone(self) -> bool:
        """Whether the catalogue's directions hold in what it learns."""

    def learn(self, x: Encoded, y: Labels, seed: int) -> Core:
        """Fit on rows float32[n, width] with labels [n], 1 = default; deterministic by seed."""


@dataclass(frozen=True)
class Scorer:
    """A fitted, calibrated baseline.

    Attributes:
        kind: which baseline.
        core: its raw risk.
        calibration: from raw risk to log-odds, increasing.
        scale: the points scale, a bundle's by default.
        catalogue: what it reads.
        monotone: whether the catalogue's directions hold in it.
        seed: of the fit.
        rows: how many rows it was fitted and calibrated on; stays at the node.
    """

    kind: str
    core: Core
    calibration: Calibration
    scale: Scale
    catalogue: Catalogue
    monotone: bool
    seed: int
    rows: int

    def logit(self, x: Encoded) -> Floats:
        """Calibrated log-odds of default, float64[n]."""
        return self.calibration.logit(self.core.raw(x))

    def pd(self, x: Encoded) -> Floats:
        """Probability of default, float64[n] from encoded rows float32[n, width]."""
        return self.calibration.pd(self.core.raw(x))

    def points(self, x: Encoded) -> NDArray[np.int64]:
        """Points on the scale, int64[n]; more is safer."""
        return self.scale.points(self.logit(x))

    def card(self) -> dict[str, Any]:
        """What the model is, as JSON, for the node's own records: its counts are exact."""
        return {
            "kind": self.kind,
            "catalogue_version": self.catalogue.version,
            "catalogue_sha256": self.catalogue.sha256,
            "scope": "one node, its own consented rows; never released",
            "differentially_private": False,
            "monotone": self.monotone,
            "seed": self.seed,
            "rows": self.rows,
            "calibration": self.calibration.to_json(),
            "scale": self.scale.to_json(),
            "model": dict(self.core.facts()),
        }


@dataclass(frozen=True)
class Baseline:
    """A learner with its calibration, for one catalogue."""

    learner: Learner
    encoder: Encoder

    @property
    def kind(self) -> str:
        """Which baseline."""
        return self.learner.kind

    def fit(self, x: Encoded, y: Labels, seed: int) -> Scorer:
        """Learn on three quarters of the rows and calibrate on the rest.

        Args:
            x: float32[n, width].
            y: [n], 1 = default.
            seed: of the cut and of whatever the learner draws; the same seed, the same model.

        Raises:
            LabelsUnusable: fewer than `LEAST_OF_A_CLASS` rows of a class.
            InvalidInput: the rows are not the encoder's.
        """
        check_rows(self.encoder, x, y)
        learned, kept = cut(y, CALIBRATION_SHARE, seed)
        core = self.learner.learn(x[learned], y[learned], seed)
        return Scorer(
            kind=self.kind,
            core=core,
            calibration=calibrate(core.raw(x[kept]), y[kept]),
            scale=Scale(),
            catalogue=self.encoder.catalogue,
            monotone=self.learner.monotone,
            seed=seed,
            rows=len(y),
        )


def check_rows(encoder: Encoder, x: Encoded, y: Labels) -> None:
    """Refuse rows that no model can be fitted on.

    Raises:
        InvalidInput: the rows are not the encoder's, or not one label each.
        LabelsUnusable: a label is not 0 or 1, or a class has too few.
    """
    if x.ndim != 2 or x.shape[1] != encoder.width or y.shape != (len(x),):
        raise InvalidInput(
            f"rows are {encoder.width} columns wide with one label each, "
            f"not {x.shape} and {y.shape}"
        )
    if not np.isin(y, (0, 1)).all():
        raise LabelsUnusable("a label is neither 0 nor 1")
    bad = int((y == 1).sum())
    if min(bad, len(y) - bad) < LEAST_OF_A_CLASS:
        raise LabelsUnusable(
            f"a fit needs at least {LEAST_OF_A_CLASS} outcomes of each class, defaulted and repaid"
        )


def cut(y: Labels, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two parts of the rows, sorted, with the same share of defaults; the second has `share`."""
    generator = np.random.default_rng(seed)
    second = np.zeros(len(y), bool)
    for label in (0, 1):
        rows = generator.permutation(np.flatnonzero(y == label))
        second[rows[: max(1, round(share * len(rows)))]] = True
    return np.flatnonzero(~second), np.flatnonzero(second)


def calibrate(raw: Floats, y: Labels) -> Calibration:
    """The curve of models/calibration.py on a histogram without noise."""
    cell = np.searchsorted(EDGES, raw) * 2 + (y == 1)
    counts = np.bincount(cell, minlength=BINS * 2).reshape(BINS, 2).astype(np.float64)
    return fit(counts, 0.0)


def log_odds(pd: Floats) -> Floats:
    """Log-odds of probabilities, within `RAW_LIMIT`."""
    pd = np.asarray(pd, np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.log(pd) - np.log1p(-pd), -RAW_LIMIT, RAW_LIMIT))
