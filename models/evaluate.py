"""Scoring with a bundle: NumPy only, many subjects at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, BundleInvalid
from models.catalogue import Catalogue, SignalStatus
from models.encoder import Encoder, Status, Values, usable
from models.reasons import Reasons, contributions, principal_reasons
from models.scale import band_index
from models.weights import logit

_AT_ONCE = 2048  # rows whose matrices of a pass stay in a processor's cache

Floats = NDArray[np.float64]
_Pass: TypeAlias = Callable[[Status, Values], tuple[Floats, ...]]


@dataclass(frozen=True)
class Scores:
    """Scores of n subjects.

    Attributes:
        pd: float64[n], calibrated probability of default.
        points: int64[n] on the bundle's scale.
        band: n band names.
        coverage: float64[n], share of the holders' signals that said something.
        raw: float64[n], log-odds before calibration.
    """

    pd: NDArray[np.float64]
    points: NDArray[np.int64]
    band: tuple[str, ...]
    coverage: NDArray[np.float64]
    raw: NDArray[np.float64]


class Scorer:
    """Evaluates one bundle.

    Args:
        bundle: a loaded bundle.
        catalogue: the catalogue it was trained on.

    Raises:
        BundleInvalid: the bundle belongs to another catalogue.
    """

    def __init__(self, bundle: Bundle, catalogue: Catalogue) -> None:
        if bundle.manifest.catalogue_sha256 != catalogue.sha256:
            raise BundleInvalid(
                f"bundle {bundle.version} reads another catalogue than version {catalogue.version}"
            )
        self.encoder = Encoder(catalogue)
        if bundle.manifest.width != self.encoder.width:
            raise BundleInvalid(f"bundle {bundle.version} is not {self.encoder.width} columns wide")
        self.bundle = bundle
        self._held = np.array([spec.derived is None for spec in catalogue.signals])
        self._names = np.array([band.name for band in bundle.manifest.bands], object)

    def score(self, status: Status, value: Values) -> Scores:
        """Score subjects.

        Args:
            status: uint8[n, m], `SignalStatus` numbers in catalogue order.
            value: float64[n, m].

        Raises:
            InvalidInput: the shapes do not fit the catalogue.
        """
        return self._scores(*self._by_parts(self._pass, status, value))

    def judge(self, status: Status, value: Values) -> tuple[Scores, Floats]:
        """`score` and `points_lost` of subjects, each of whom is encoded once.

        Args:
            status: uint8[n, m], `SignalStatus` numbers in catalogue order.
            value: float64[n, m].

        Raises:
            InvalidInput: the shapes do not fit the catalogue.
        """
        coverage, raw, lost = self._by_parts(self._pass_with_shares, status, value)
        return self._scores(coverage, raw), lost

    def present(self, status: Status, value: Values) -> NDArray[np.float64]:
        """Share of the holders' signals that have a value, float64[n]."""
        completed, _ = self.encoder.complete(status, value)
        held = np.asarray(completed)[:, self._held]
        return np.asarray((held == int(SignalStatus.PRESENT)).mean(axis=1))

    def coverage(self, status: Status, value: Values) -> Floats:
        """Share of the holders' signals that are present or not on record, float64[n]."""
        completed, _ = self.encoder.complete(status, value)
        return self._coverage(completed)

    def explain(self, status: Status, value: Values) -> Reasons:
        """Up to four reasons per subject, heaviest first; see models/reasons.py."""
        return principal_reasons(self.points_lost(status, value), self.encoder)

    def points_lost(self, status: Status, value: Values) -> Floats:
        """Points that each signal takes from a score against the reference, float64[n, m]."""
        _, _, lost = self._by_parts(self._pass_with_shares, status, value)
        return lost

    def _by_parts(self, compute: _Pass, status: Status, value: Values) -> tuple[Floats, ...]:
        """What `compute` gives, of so many rows at once as a processor's cache holds."""
        status, value = self.encoder.complete(status, value)
        if len(status) <= _AT_ONCE:
            return compute(status, value)
        starts = range(0, len(status), _AT_ONCE)
        parts = [slice(start, start + _AT_ONCE) for start in starts]
        found = zip(*(compute(status[rows], value[rows]) for rows in parts), strict=True)
        return tuple(np.concatenate(one) for one in found)

    def _pass(self, status: Status, value: Values) -> tuple[Floats, ...]:
        """Coverage and raw log-odds of completed rows."""
        encoded = self.encoder.encode_completed(status, value)
        return self._coverage(status), logit(self.bundle.weights, encoded)

    def _pass_with_shares(self, status: Status, value: Values) -> tuple[Floats, ...]:
        """Coverage, raw log-odds and the points that each signal takes, of completed rows."""
        encoded = self.encoder.encode_completed(status, value)
        reference = self.encoder.reference(status)
        shares = contributions(self.bundle.weights, self.encoder, encoded, reference)
        calibration, scale = self.bundle.manifest.calibration, self.bundle.manifest.scale
        subject = logit(self.bundle.weights, encoded)
        start = logit(self.bundle.weights, reference)
        lost = scale.unclipped(calibration.logit(start)) - scale.unclipped(
            calibration.logit(subject)
        )
        # Calibration bends the curve: spread the points in proportion to the shares.
        gap = subject - start
        ratio = np.where(
            np.abs(gap) < 1e-6, scale.factor, lost / np.where(np.abs(gap) < 1e-6, 1, gap)
        )
        return self._coverage(status), subject, np.asarray(shares * ratio[:, None])

    def _scores(self, coverage: Floats, raw: Floats) -> Scores:
        manifest = self.bundle.manifest
        points = manifest.scale.points(manifest.calibration.logit(raw))
        index = band_index(points, [band.floor for band in manifest.bands])
        return Scores(
            pd=manifest.calibration.pd(raw),
            points=points,
            band=tuple(self._names[index].tolist()),
            coverage=coverage,
            raw=raw,
        )

    def _coverage(self, completed: Status) -> Floats:
        return np.asarray(usable(completed[:, self._held]).mean(axis=1))
