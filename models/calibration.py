"""From the network's log-odds to a probability of default.

Clipping keeps rank but ruins the level, so after training each node's noisy tally counts its
training rows by score bin and label, and the coordinator fits a monotone curve to the sum: beta
calibration (Kull, Silva Filho and Flach 2017), whose three parameters no single noisy bin moves.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fields import Fields
from models.privacy.counting import noisy_counts
from models.privacy.noise import GRID
from models.scale import BAND_FLOORS, Band, Scale, band_index
from protocols.errors import InvalidInput

# Public bins of the raw log-odds; the two outer bins are open.
EDGES = np.linspace(-5.0, 3.0, 33)
BINS = len(EDGES) + 1
_CENTRES = np.concatenate([[EDGES[0]], (EDGES[:-1] + EDGES[1:]) / 2, [EDGES[-1]]])
_RIDGE = 2.0
_FLATTEST, _STEEPEST = 0.05, 10.0
LEVEL = 0.95
_Z = 1.959964  # of the standard normal distribution, two-sided at LEVEL
_MAX_DEVIATION = 50.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """logit(pd) = shift + above * softplus(z) - below * softplus(-z), increasing in z.

    Attributes:
        version: of the fit, for the answer of a score.
        shift, above, below: see the formula; the slopes are positive.
        deviations: standard deviation of the calibrated log-odds at the middle of each public bin
            (`deviations`), float[BINS]; empty: not known, as in bundles made before it was.
    """

    version: int = 1
    shift: float = 0.0
    above: float = 1.0
    below: float = 1.0
    deviations: tuple[float, ...] = ()

    def logit(self, raw: Floats) -> Floats:
        """Calibrated log-odds of default from raw log-odds, any shape."""
        return np.asarray(_features(raw) @ np.array([self.shift, self.above, self.below]))

    def pd(self, raw: Floats) -> Floats:
        """Probability of default from raw log-odds."""
        return sigmoid(self.logit(raw))

    def interval(self, raw: Floats) -> tuple[Floats, Floats] | None:
        """Ends of the PD's interval at `LEVEL`, float64 like `raw`; None: not known.

        What it covers is said at `deviations`. Between the middles of bins the deviation is
        interpolated; beyond the outermost ones it stays as it is there.
        """
        if not self.deviations:
            return None
        reach = _Z * np.interp(raw, _CENTRES, np.array(self.deviations))
        middle = self.logit(raw)
        return sigmoid(middle - reach), sigmoid(middle + reach)

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        body = asdict(self)
        known = body.pop("deviations")
        return body | {"deviations": list(known)} if known else body

    @classmethod
    def from_json(cls, body: object) -> "Calibration":
        """Read within limits."""
        fields = Fields(body, "calibration", InvalidInput)
        calibration = cls(
            version=fields.integer("version", 1, 2**31 - 1),
            shift=fields.number("shift", -50, 50),
            above=fields.number("above", _FLATTEST, _STEEPEST),
            below=fields.number("below", _FLATTEST, _STEEPEST),
            deviations=_known(fields),
        )
        fields.done()
        return calibration


def noisy_histogram(
    raw: Floats, labels: NDArray[np.floating | np.integer], noise_multiplier: float
) -> NDArray[np.int64]:
    """A histogram released by itself, charged as one Gaussian mechanism of this noise multiplier.

    Args:
        raw: float64[n], raw log-odds of the training rows, one per subject.
        labels: [n], 1 = default.
        noise_multiplier: standard deviation in subjects.

    Returns:
        int64[BINS, 2] in units of 1 / GRID subjects; column 1 counts defaults.
    """
    cell = np.searchsorted(EDGES, raw) * 2 + (np.asarray(labels) == 1)
    counts = np.bincount(cell, minlength=BINS * 2).reshape(BINS, 2)
    return noisy_counts(counts, noise_multiplier)


def add_histograms(histograms: Sequence[NDArray[np.int64]]) -> Floats:
    """Sum of the nodes' histograms in subjects, float64[BINS, 2].

    Raises:
        InvalidInput: none, or one of another type, shape or an impossible size.
    """
    if not histograms:
        raise InvalidInput("no calibration histogram arrived")
    for histogram in histograms:
        if histogram.dtype != np.int64 or histogram.shape != (BINS, 2):
            raise InvalidInput(f"a calibration histogram is int64[{BINS}, 2]")
        if histogram.min() < -(2**50) or histogram.max() > 2**60:
            raise InvalidInput("a calibration histogram holds an impossible count")
    total: Floats = np.stack(histograms).astype(np.float64).sum(axis=0)
    return total / GRID


def fit(counts: Floats, noise: float) -> Calibration:
    """Maximum likelihood on the noisy counts with a little ridge towards the identity.

    A bin whose total drowns in noise is left out; the others count as they are, so that the noise
    pulls to neither side.

    Args:
        counts: float64[BINS, 2] as `add_histograms` gives it.
        noise: standard deviation of a cell, in subjects.
    """
    total = counts.sum(axis=1)
    used = total > max(2 * math.sqrt(2) * noise, 1.0)
    features, total, bad = _features(_CENTRES[used]), total[used], counts[used, 1]
    identity = np.array([0.0, 1.0, 1.0])
    parameters = identity.copy()
    for _ in range(100):
        p = sigmoid(features @ parameters)
        gradient = features.T @ (bad - total * p) - _RIDGE * (parameters - identity)
        hessian = (features * (total * p * (1 - p))[:, None]).T @ features + _RIDGE * np.eye(3)
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        parameters = _bounded(parameters + step)
        if float(np.abs(step).max()) < 1e-9:
            break
    shift, above, below = (float(value) for value in parameters)
    sure = deviations(counts, noise, parameters, used)
    return Calibration(shift=shift, above=above, below=below, deviations=sure)


def deviations(
    counts: Floats, noise: float, parameters: Floats, used: NDArray[np.bool_]
) -> tuple[float, ...]:
    """How sure the curve is: standard deviation of the log-odds at the middle of each bin.

    The curve's parameters are an M-estimate, so their covariance is H^-1 V H^-1 (Huber 1967; the
    "sandwich"). V holds, for each bin that was used, the variance of `bad - total * p`: of drawing
    people, total * p * (1 - p), and of the noise that privacy added to both cells, whose variance
    is public: noise^2 * (p^2 + (1 - p)^2). Both are widened together by how much worse than that
    the curve fits its bins, if it does.

    It covers: which people happened to be in the training set, the noise on their counts, and that
    the curve is not quite the right one. It does not cover: noise on the network's weights, the
    place of one person within a bin, missing signals, a population that changes.

    Args:
        counts: float64[BINS, 2] as `add_histograms` gives it.
        noise: standard deviation of a cell, in subjects.
        parameters: float64[3], shift, above, below, as fitted.
        used: bool[BINS], bins that the fit rests on; without any nothing is known.
    """
    if not used.any():
        return ()
    total, bad = counts[used].sum(axis=1), counts[used, 1]
    features = _features(_CENTRES[used])
    p = sigmoid(features @ parameters)
    drawn = total * p * (1 - p)
    variance = drawn + noise**2 * (p**2 + (1 - p) ** 2)
    freedom = max(int(used.sum()) - 3, 1)
    misfit = float((((bad - total * p) ** 2) / np.maximum(variance, 1e-9)).sum()) / freedom
    variance = variance * max(1.0, misfit)
    # The ridge is a prior of its own width: what little data leaves open is not called sure.
    ridge = _RIDGE * np.eye(3)
    inverse = np.linalg.inv((features * drawn[:, None]).T @ features + ridge)
    covariance = inverse @ ((features * variance[:, None]).T @ features + ridge) @ inverse
    everywhere = _features(_CENTRES)
    found = np.sqrt(np.einsum("ij,jk,ik->i", everywhere, covariance, everywhere))
    return tuple(round(float(one), 6) for one in np.minimum(found, _MAX_DEVIATION))


def bands(counts: Floats, calibration: Calibration, scale: Scale) -> tuple[Band, ...]:
    """The bands with their PD: the calibrated PD of the bins in a band, weighted by noisy counts.

    A band without subjects gets the PD of its middle.
    """
    weight = np.maximum(counts.sum(axis=1), 0.0)
    pd = calibration.pd(_CENTRES)
    floors = [floor for _, floor in BAND_FLOORS]
    member = band_index(scale.points(calibration.logit(_CENTRES)), floors)
    ceilings = [scale.high, *floors[:-1]]
    everyone = max(float(weight.sum()), 1.0)
    found = []
    for position, (name, floor) in enumerate(BAND_FLOORS):
        inside = weight * (member == position)
        share = float(inside.sum()) / everyone
        middle = _pd_at((floor + ceilings[position]) / 2, scale)
        found.append(
            Band(
                name=name,
                floor=floor,
                pd=float(inside @ pd / inside.sum()) if share > 0 else middle,
                share=share,
            )
        )
    return tuple(found)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x) without overflow."""
    half: Floats = np.tanh(0.5 * np.asarray(x, np.float64))
    return 0.5 * (1 + half)


def _features(raw: Floats) -> Floats:
    raw = np.asarray(raw, np.float64)
    return np.stack([np.ones_like(raw), np.logaddexp(0, raw), -np.logaddexp(0, -raw)], axis=-1)


def _known(fields: Fields) -> tuple[float, ...]:
    if not fields.has("deviations"):
        return ()
    found = tuple(fields.numbers("deviations", BINS))
    if len(found) != BINS or not all(0 <= one <= _MAX_DEVIATION for one in found):
        raise InvalidInput(f"calibration: deviations are {BINS} numbers in 0..{_MAX_DEVIATION:g}")
    return found


def _bounded(parameters: Floats) -> Floats:
    parameters[0] = np.clip(parameters[0], -50, 50)
    parameters[1:] = np.clip(parameters[1:], _FLATTEST, _STEEPEST)
    return parameters


def _pd_at(points: float, scale: Scale) -> float:
    logit = -(points - scale.base_points) / scale.factor - math.log(scale.base_odds)
    return float(sigmoid(np.array(logit)))
