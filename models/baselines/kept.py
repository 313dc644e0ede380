"""Models that a node keeps for its own decisions: a baseline, or one blended with the shared score.

`own_fusion` is a weighted mean of the calibrated log-odds of this institution's scorecard and its
boosted trees; `shared_fusion` adds the network's shared score. The weights are fixed (ADR 0012):
weights fitted on the institution's rows would lean on the shared score, which has learnt from those
very rows.

Nothing here is differentially private, so nothing here may answer anybody outside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.baselines.additive import Additive
from models.baselines.boosted import Boosted
from models.baselines.expert import ExpertScorecard
from models.baselines.interface import (
    RAW_LIMIT,
    Core,
    Floats,
    Labels,
    Learner,
    calibrate,
    check_rows,
)
from models.baselines.trees import LocalGbdt
from models.baselines.woe import WoeLogistic
from models.bundle import Bundle
from models.calibration import Calibration
from models.encoder import Encoded, Encoder, Status, Values
from models.metrics import auc, ece, ks
from models.scale import Scale
from models.weights import Weights, logit
from protocols.errors import InvalidInput

SHARED_FUSION = "shared_fusion"
OWN_FUSION = "own_fusion"
KINDS = (SHARED_FUSION, OWN_FUSION, "woe_logistic", "local_gbdt", "expert_scorecard")
# Chosen once on synthetic worlds: the shared score's part, and the parts of the own half.
SHARED_WEIGHT = 0.4
OWN_WEIGHTS = {"woe_logistic": 1 / 3, "local_gbdt": 2 / 3}
FOLDS = 4
FIGURES_FROM = (
    "folds that the own models were not fitted on; the shared score may have learnt from all of "
    "them, under noise"
)


@dataclass(frozen=True)
class SharedScore:
    """The network's score, as a fusion reads it.

    Attributes:
        version, tensors_sha256: of the bundle.
        weights: of its network.
        calibration: its own.
    """

    version: str
    tensors_sha256: str
    weights: Weights = field(repr=False)
    calibration: Calibration

    @classmethod
    def of(cls, bundle: Bundle) -> "SharedScore":
        """That of a bundle whose signature has been verified."""
        manifest = bundle.manifest
        return cls(bundle.version, manifest.tensors_sha256, bundle.weights, manifest.calibration)

    def logit(self, x: Encoded) -> Floats:
        """Calibrated log-odds of default, float64[n]."""
        return self.calibration.logit(logit(self.weights, x))


@dataclass(frozen=True)
class Part:
    """One own model in a kept one.

    Attributes:
        kind: which.
        weight: of its calibrated log-odds, at or above zero.
        core: its raw risk.
        calibration: fitted on folds that it did not see.
    """

    kind: str
    weight: float
    core: Core
    calibration: Calibration

    def share(self, x: Encoded) -> Floats:
        """Its weighted part of the log-odds, float64[n]."""
        return _share(self.calibration.logit(self.core.raw(x)), self.weight)


@dataclass(frozen=True)
class KeptModel:
    """A model for the institution's own decisions.

    Attributes:
        kind: one of `KINDS`.
        encoder: of its catalogue.
        parts: own models; their weights and the shared score's add up to 1.
        shared: the shared score that is blended in, or None.
        calibration: of the sum.
        scale: of its points, a bundle's by default.
        seed: of folds and fits.
    """

    kind: str
    encoder: Encoder
    parts: tuple[Part, ...]
    shared: SharedScore | None
    calibration: Calibration
    seed: int
    scale: Scale = field(default_factory=Scale)

    def logit(self, x: Encoded) -> Floats:
        """Calibrated log-odds of default, float64[n] from float32[n, width]."""
        total = np.sum([part.share(x) for part in self.parts], axis=0)
        if self.shared is not None:
            total = total + _share(self.shared.logit(x), SHARED_WEIGHT)
        return self.calibration.logit(total)

    def points(self, x: Encoded) -> NDArray[np.int64]:
        """Points on the scale, int64[n]; more is safer."""
        return self.scale.points(self.logit(x))

    def points_lost(self, status: Status, value: Values) -> Floats:
        """Points that each signal takes from one subject's score, float64[signals].

        What the score gains when that signal alone is put to the catalogue's reference. Trees have
        no closed-form shares; these need not add up to the whole difference.

        Args:
            status: uint8[1, m].
            value: float64[1, m].
        """
        encoder = self.encoder
        row = encoder.encode(status, value)
        completed, _ = encoder.complete(status, value)
        reference = encoder.reference(completed)[0]
        changed = np.repeat(row, len(encoder.columns), axis=0)
        for number, place in enumerate(encoder.columns):
            changed[number, place.start : place.stop] = reference[place.start : place.stop]
        points = self.scale.unclipped(self.logit(np.concatenate([row, changed])))
        return np.asarray(points[1:] - points[0])


@dataclass(frozen=True)
class Fitted:
    """A model that was fitted, and what it reached on folds that its own models did not see.

    Attributes:
        model: it.
        figures: `auc`, `ks` and `ece`; for a fusion also `shared_auc` and `own_auc`, of its two
            halves.
    """

    model: KeptModel
    figures: Mapping[str, float]


def fit_kept(
    encoder: Encoder,
    kind: str,
    x: Encoded,
    y: Labels,
    seed: int,
    shared: SharedScore | None = None,
) -> Fitted:
    """Fit a model to keep, on all rows; folds calibrate and measure it.

    Args:
        encoder: of the catalogue.
        kind: one of `KINDS`.
        x: float32[n, width].
        y: [n], 1 = default.
        seed: 0 to 2^32 - 1.
        shared: the shared score in force; needed by `shared_fusion`, ignored by others.

    Raises:
        InvalidInput: an unknown kind, a fusion without a shared score, or rows of another width.
        LabelsUnusable: too few outcomes of a class.
        BaselinesNotInstalled: trees without scikit-learn.
    """
    if kind == SHARED_FUSION and shared is None:
        raise InvalidInput("a fusion with the shared score needs a shared score in force")
    own = fit_own(encoder, kind, x, y, seed)
    return finish(own, x, y, shared if kind == SHARED_FUSION else None)


@dataclass(frozen=True)
class Own:
    """The own half of a model, fitted: any shared score can be blended in.

    Attributes:
        kind, encoder, seed, parts: as in `KeptModel`.
        unseen: float64[n], the weighted log-odds of the rows by fits that did not see them.
    """

    kind: str
    encoder: Encoder
    seed: int
    parts: tuple[Part, ...]
    unseen: Floats = field(repr=False)


def fit_own(encoder: Encoder, kind: str, x: Encoded, y: Labels, seed: int) -> Own:
    """Fit the own half; see `fit_kept`."""
    check_rows(encoder, x, y)
    if kind not in KINDS:
        raise InvalidInput(f"no model {kind!r} can be kept; there are {', '.join(KINDS)}")
    fold = _folds(y, seed)
    parts, own = [], np.zeros(len(y))
    for learner, weight in _learners(encoder, kind):
        unseen = _unseen(learner, x, y, fold, seed)
        calibration = calibrate(unseen, y)
        parts.append(Part(learner.kind, weight, learner.learn(x, y, seed), calibration))
        own += _share(calibration.logit(unseen), weight)
    return Own(kind, encoder, seed, tuple(parts), own)


def finish(own: Own, x: Encoded, y: Labels, shared: SharedScore | None) -> Fitted:
    """Blend a shared score in, calibrate the sum and measure it on the rows of `fit_own`."""
    total, halves = own.unseen, {}
    if shared is not None:
        score = shared.logit(x)
        total = own.unseen + _share(score, SHARED_WEIGHT)
        halves = {"shared_auc": auc(y, score), "own_auc": auc(y, own.unseen)}
    calibration = calibrate(total, y)
    pd = calibration.pd(total)
    figures = {"auc": auc(y, pd), "ks": ks(y, pd), "ece": ece(y, pd)} | halves
    model = KeptModel(own.kind, own.encoder, own.parts, shared, calibration, own.seed)
    return Fitted(model, {name: round(value, 4) for name, value in figures.items()})


def _learners(encoder: Encoder, kind: str) -> list[tuple[Learner, float]]:
    known: dict[str, Learner] = {
        "expert_scorecard": ExpertScorecard(encoder),
        "woe_logistic": WoeLogistic(encoder),
        "local_gbdt": LocalGbdt(encoder),
    }
    if kind not in (SHARED_FUSION, OWN_FUSION):
        return [(known[kind], 1.0)]
    half = 1 - SHARED_WEIGHT if kind == SHARED_FUSION else 1.0
    return [(known[name], half * weight) for name, weight in OWN_WEIGHTS.items()]


def _unseen(learner: Learner, x: Encoded, y: Labels, fold: NDArray[np.int64], seed: int) -> Floats:
    """Raw log-odds of each row by a fit that did not see it, float64[n]."""
    raw = np.zeros(len(y))
    for number in range(FOLDS):
        held = fold == number
        raw[held] = learner.learn(x[~held], y[~held], seed).raw(x[held])
    return raw


def _folds(y: Labels, seed: int) -> NDArray[np.int64]:
    """A fold for each row, with the same share of defaults in each."""
    generator = np.random.default_rng([seed, FOLDS])
    fold = np.zeros(len(y), np.int64)
    for label in (0, 1):
        rows = generator.permutation(np.flatnonzero(y == label))
        fold[rows] = np.arange(len(rows)) % FOLDS
    return fold


def _share(logits: Floats, weight: float) -> Floats:
    return np.asarray(weight * np.clip(logits, -RAW_LIMIT, RAW_LIMIT))


def forms(core: Core) -> dict[str, Any]:
    """The written form of an own model: its name and its body."""
    if isinstance(core, Additive):
        return {"form": "scorecard", "body": core.to_json()}
    if isinstance(core, Boosted):
        return {"form": "trees", "body": core.to_json()}
    raise InvalidInput(f"a {type(core).__name__} has no written form")
