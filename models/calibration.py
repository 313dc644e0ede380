"""From the network's log-odds to a probability of default.

Clipping keeps rank but ruins the level, so after training each node's noisy tally counts its
training rows by score bin and label, and the coordinator fits a monotone curve to the sum: beta
calibration (Kull, Silva Filho and Flach 2017), whose three parameters no single noisy bin moves.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fields import Fields
from models.scale import BAND_FLOORS, Band, Scale, band_index
from protocols.errors import InvalidInput

# Public bins of the raw log-odds; the two outer bins are open.
EDGES = np.linspace(-5.0, 3.0, 33)
BINS = len(EDGES) + 1
# Middle of each bin, of the outer ones their end.
CENTRES = np.concatenate([[EDGES[0]], (EDGES[:-1] + EDGES[1:]) / 2, [EDGES[-1]]])
_RIDGE = 2.0
_FLATTEST, _STEEPEST = 0.05, 10.0
_LOWEST = np.array([-50.0, _FLATTEST, _FLATTEST])  # of shift, above and below
_HIGHEST = np.array([50.0, _STEEPEST, _STEEPEST])
_STEPS, _HALVINGS = 100, 30  # of Newton's method; 4 and 0 are usual
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
        reach = _Z * np.interp(raw, CENTRES, np.array(self.deviations))
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


def fit(counts: Floats, noise: float) -> Calibration:
    """Maximum likelihood on the noisy counts with a little ridge towards the identity.

    A bin whose total drowns in noise is left out; the others count as they are, so that the noise
    pulls to neither side.

    Args:
        counts: float64[BINS, 2], people by score bin; column 1 counts defaults.
        noise: standard deviation of a cell, in subjects.
    """
    total = counts.sum(axis=1)
    used = total > max(2 * math.sqrt(2) * noise, 1.0)
    features, total, bad = _features(CENTRES[used]), total[used], counts[used, 1]
    parameters = _most_likely(features, total, bad)
    shift, above, below = (float(value) for value in parameters)
    sure = deviations(counts, noise, parameters, used)
    return Calibration(shift=shift, above=above, below=below, deviations=sure)


def _most_likely(features: Floats, total: Floats, bad: Floats) -> Floats:
    """Parameters within their bounds that make the counts most likely, float64[3].

    Newton's method on a convex loss within a box (Bertsekas 1982): a parameter that presses against
    its bound stays there and the others move without it; a step that gains less than it promises is
    halved. Noise presses a slope against its bound often.
    """
    identity = np.array([0.0, 1.0, 1.0])

    def loss(at: Floats) -> float:
        z = features @ at
        ridge = _RIDGE / 2 * float(((at - identity) ** 2).sum())
        return float((total * np.logaddexp(0, z) - bad * z).sum()) + ridge

    found, least = identity.copy(), loss(identity)
    for _ in range(_STEPS):
        p = sigmoid(features @ found)
        slope = features.T @ (total * p - bad) + _RIDGE * (found - identity)
        hessian = (features * (total * p * (1 - p))[:, None]).T @ features + _RIDGE * np.eye(3)
        free = ~(((found <= _LOWEST) & (slope > 0)) | ((found >= _HIGHEST) & (slope < 0)))
        step = np.zeros(3)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], slope[free])
        for halved in range(_HALVINGS):
            moved = np.clip(found - step / 2**halved, _LOWEST, _HIGHEST)
            reached = loss(moved)
            if reached <= least - 1e-4 * float(slope @ (found - moved)):
                break
        else:
            break
        found, before, least = moved, found, reached
        if float(np.abs(found - before).max()) < 1e-9:
            break
    return found


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
        counts: float64[BINS, 2], people by score bin; column 1 counts defaults.
        noise: standard deviation of a cell, in subjects.
        parameters: float64[3], shift, above, below, as fitted.
        used: bool[BINS], bins that the fit rests on; without any nothing is known.
    """
    if not used.any():
        return ()
    total, bad = counts[used].sum(axis=1), counts[used, 1]
    features = _features(CENTRES[used])
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
    everywhere = _features(CENTRES)
    found = np.sqrt(np.einsum("ij,jk,ik->i", everywhere, covariance, everywhere))
    return tuple(round(float(one), 6) for one in np.minimum(found, _MAX_DEVIATION))


def bands(counts: Floats, calibration: Calibration, scale: Scale) -> tuple[Band, ...]:
    """The bands with their PD: the calibrated PD of the bins in a band, weighted by noisy counts.

    A band without subjects gets the PD of its middle.
    """
    weight = np.maximum(counts.sum(axis=1), 0.0)
    pd = calibration.pd(CENTRES)
    floors = [floor for _, floor in BAND_FLOORS]
    member = band_index(scale.points(calibration.logit(CENTRES)), floors)
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


def _pd_at(points: float, scale: Scale) -> float:
    logit = -(points - scale.base_points) / scale.factor - math.log(scale.base_odds)
    return float(sigmoid(np.array(logit)))
