"""Whether a model in force still fits the people it is used on, from one noised tally.

From the sum of a watch's tallies (`models/watch_tally.py`) come
  - the population stability index (PSI) of the score and of each signal against a reference: the
    tally taken when the model was made, or its first watch;
  - expected over observed defaults, in all and in ten groups of predicted PD;
  - the AUC.
All of it is computed from what was released, so it costs no privacy beyond the tally. The noise is
known, and so is how much people vary: every figure comes with an interval from 400 draws of both
(seeded: the same tally gives the same figures), and the PSI, which noise only raises, is brought
down by what noise and sampling add to it. Cells are taken together until each of the reference's
groups has four times as many people as its noise; where fewer than two are left, nothing is said.

PSI and its thresholds: Siddiqi 2017, chapter 13; that it grows with sampling noise: Yurdakul 2018.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import CENTRES, Calibration
from models.fields import Fields
from models.tally import Floats
from models.watch_tally import Counted
from protocols.errors import InvalidInput

PSI_WATCH, PSI_ALERT = 0.10, 0.25
GROUPS = 10
CLEAR = 4.0
_DRAWS = 400
_SEED = 20_240_229
_TAIL = 5.0  # per cent on each side: an interval holds 90 of 100


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its 90 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """JSON object."""
        return {name: round(value, 6) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, body: object) -> "Estimate":
        """Read within limits."""
        fields = Fields(body, "estimate", InvalidInput)
        made = cls(*(fields.number(name, -1e9, 1e9) for name in ("value", "low", "high")))
        fields.done()
        return made


@dataclass(frozen=True)
class Group:
    """People of about one predicted PD; `share`s of all of them, then and now."""

    expected: float
    observed: float
    share_then: float
    share_now: float

    def to_json(self) -> dict[str, float]:
        """JSON object."""
        return {name: round(value, 6) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Findings:
    """What a watch found.

    Attributes:
        people: how many were counted, noise included.
        psi: of the score; None: too few people for the noise.
        ratio: expected over observed defaults.
        auc: of the score on outcomes known now.
        groups: by predicted PD, the safest first.
        signals: PSI by signal id, of those that the reference has and that can be told.
    """

    people: float
    psi: Estimate | None
    ratio: Estimate
    auc: Estimate
    groups: tuple[Group, ...]
    signals: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "people": round(self.people, 1),
            "psi": None if self.psi is None else self.psi.to_json(),
            "ratio": self.ratio.to_json(),
            "auc": self.auc.to_json(),
            "groups": [group.to_json() for group in self.groups],
            "signals": {name: one.to_json() for name, one in self.signals.items()},
        }


def findings(now: Counted, reference: Counted, calibration: Calibration) -> Findings:
    """Read a watch against its reference."""
    pd = calibration.pd(CENTRES)
    places = _groups(reference.score.sum(axis=1), reference.score_noise * np.sqrt(2))
    draws = _drawn(now.score, now.score_noise)
    then, present = _grouped(reference.score, places), _grouped(now.score, places)
    totals = present.sum(axis=1)
    expected = _grouped(now.score.sum(axis=1)[:, None] * pd[:, None], places)[:, 0]
    groups = tuple(
        Group(*(float(value) for value in row))
        for row in zip(
            _rate(expected, totals),
            _rate(present[:, 1], totals),
            _shares(then.sum(axis=1)),
            _shares(totals),
            strict=True,
        )
    )
    signals = {
        name: _psi(reference.signals[name], row, reference.signal_noise, now.signal_noise)
        for name, row in now.signals.items()
        if name in reference.signals and len(reference.signals[name]) == len(row)
    }
    return Findings(
        people=float(now.score.sum()),
        psi=_psi(
            reference.score.sum(axis=1),
            now.score.sum(axis=1),
            reference.score_noise * np.sqrt(2),
            now.score_noise * np.sqrt(2),
        ),
        ratio=_interval(_ratio(now.score[None], pd)[0], _ratio(draws, pd)),
        auc=_interval(_auc(now.score[None])[0], _auc(draws)),
        groups=groups,
        signals={name: one for name, one in signals.items() if one is not None},
    )


def _groups(mass: Floats, noise: float) -> NDArray[np.int64]:
    """The group of each cell, int64[cells]: consecutive cells of about a tenth of the people.

    Args:
        mass: people in each cell.
        noise: standard deviation of a cell; a group has `CLEAR` times its own.
    """
    enough = 0.75 * max(float(mass.sum()), 0.0) / GROUPS
    places, group, held, cells = [], 0, 0.0, 0
    for people in mass:
        places.append(group)
        held, cells = held + float(people), cells + 1
        if held >= max(enough, CLEAR * noise * math.sqrt(cells)):
            group, held, cells = group + 1, 0.0, 0
    # What is left over at the end goes with the group before it.
    return np.asarray(np.minimum(np.array(places, np.int64), max(group - 1, 0)))


def _grouped(table: Floats, places: NDArray[np.int64]) -> Floats:
    """Rows of one group added up, float64[groups, columns]."""
    total = np.zeros((int(places.max()) + 1, table.shape[1]))
    np.add.at(total, places, table)
    return total


def _drawn(counts: Floats, noise: float | Floats) -> Floats:
    """What else might have been counted: float64[_DRAWS, *shape]."""
    random = np.random.default_rng(_SEED)
    spread = np.sqrt(np.maximum(counts, 1.0) + np.asarray(noise) ** 2)
    return np.asarray(counts + spread * random.standard_normal((_DRAWS, *counts.shape)))


def _psi(then: Floats, now: Floats, noise_then: float, noise_now: float) -> Estimate | None:
    places = _groups(then, max(noise_then, noise_now))
    cells = np.sqrt(np.bincount(places))
    if len(cells) < 2:
        return None
    least = np.maximum(0.5, noise_now * cells)
    then, now = _grouped(then[:, None], places)[:, 0], _grouped(now[:, None], places)[:, 0]
    observed = float(_stability(then, np.maximum(now, least)))
    drawn = _stability(
        np.maximum(_drawn(then, noise_then * cells), least),
        np.maximum(_drawn(now, noise_now * cells)[::-1], least),
    )
    # Drawing adds once more what noise and sampling have added already.
    value = max(0.0, observed - max(float(np.mean(drawn)) - observed, 0.0))
    spread = float(np.percentile(drawn, 100 - _TAIL) - np.percentile(drawn, _TAIL)) / 2
    return Estimate(value, max(0.0, value - spread), value + spread)


def _stability(then: Floats, now: Floats) -> Floats:
    """PSI over the last axis."""
    a, b = _shares(then), _shares(now)
    return np.asarray(((b - a) * np.log(b / a)).sum(axis=-1))


def _shares(counts: Floats) -> Floats:
    kept = np.maximum(counts, 0.5)
    return np.asarray(kept / kept.sum(axis=-1, keepdims=True))


def _rate(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.clip(part / np.maximum(whole, 1.0), 0.0, 1.0))


def _ratio(tables: Floats, pd: Floats) -> Floats:
    """Expected over observed defaults, float64[draws]."""
    expected = (tables.sum(axis=2) * pd).sum(axis=1)
    return np.asarray(np.maximum(expected, 1.0) / np.maximum(tables[:, :, 1].sum(axis=1), 1.0))


def _auc(tables: Floats) -> Floats:
    """Area under the ROC curve of score bins, ties counted half, float64[draws]."""
    good, bad = tables[:, :, 0], tables[:, :, 1]
    below = np.cumsum(good, axis=1) - good / 2
    pairs = np.maximum(good.sum(axis=1), 1.0) * np.maximum(bad.sum(axis=1), 1.0)
    return np.asarray(np.clip((bad * below).sum(axis=1) / pairs, 0.0, 1.0))


def _interval(value: float, draws: Floats) -> Estimate:
    low, high = np.percentile(draws, [_TAIL, 100 - _TAIL])
    return Estimate(float(value), float(low), float(high))
