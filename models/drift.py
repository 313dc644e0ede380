"""Whether a model in force still fits the people it is used on, from one noised tally.

A watch tallies the nodes' people (`models/tally.py`): in the score bins of calibration by outcome,
and in the bins of some signals. From the sum come
  - the population stability index (PSI) of the score and of each signal against a reference: the
    tally taken when the model was made, or its first watch;
  - expected over observed defaults, in all and in ten groups of predicted PD;
  - the AUC.
All of it is computed from what was released, so it costs no privacy beyond the tally. The noise is
known, and so is how much people vary: every figure comes with an interval from 400 draws of both
(seeded: the same tally gives the same figures), and the PSI, which noise only raises, is brought
down by what noise and sampling add to it.

PSI and its thresholds: Siddiqi 2017, chapter 13; that it grows with sampling noise: Yurdakul 2018.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import BINS, EDGES, Calibration
from models.encoder import Columns, Encoder
from models.fields import Fields
from models.tally import Block, Layout
from models.weights import Weights
from protocols.errors import InvalidInput

PSI_WATCH, PSI_ALERT = 0.10, 0.25
GROUPS = 10
MAX_SIGNALS = 12
SCORE = "score"
# The score is seen twice as sharply as a signal: three figures are made of it.
SCORE_WEIGHT = 2
_SIGNAL = "signal."
_DRAWS = 400
_SEED = 20_240_229
_TAIL = 5.0  # per cent on each side: an interval holds 90 of 100
_CENTRES = np.concatenate([[EDGES[0]], (EDGES[:-1] + EDGES[1:]) / 2, [EDGES[-1]]])

Floats = NDArray[np.float64]
Cells = NDArray[np.int64]


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
class Counted:
    """People in the cells of a watch, with the noise that is in them.

    Attributes:
        score: float64[BINS, 2]; column 1 counts defaults.
        signals: float64[cells] by signal id.
        score_noise, signal_noise: standard deviation of a cell, in people.
    """

    score: Floats
    signals: Mapping[str, Floats] = field(default_factory=dict)
    score_noise: float = 0.0
    signal_noise: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON object, counts to a hundredth."""
        return {
            "score": np.round(self.score, 2).tolist(),
            "signals": {name: np.round(row, 2).tolist() for name, row in self.signals.items()},
            "score_noise": self.score_noise,
            "signal_noise": self.signal_noise,
        }

    @classmethod
    def from_json(cls, body: object) -> "Counted":
        """Read within limits."""
        fields = Fields(body, "counts", InvalidInput)
        rows = fields.items("score", BINS)
        signals = fields.raw("signals")
        if not isinstance(signals, Mapping) or len(signals) > MAX_SIGNALS or len(rows) != BINS:
            raise InvalidInput("counts of a watch have other tables")
        made = cls(
            score=np.array([_numbers(row, 2) for row in rows], np.float64),
            signals={str(name): np.array(_numbers(row, 0)) for name, row in signals.items()},
            score_noise=fields.number("score_noise", 0, 1e9),
            signal_noise=fields.number("signal_noise", 0, 1e9),
        )
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
        psi: of the score.
        ratio: expected over observed defaults.
        auc: of the score on outcomes known now.
        groups: by predicted PD, the safest first.
        signals: PSI by signal id, of those that the reference has.
    """

    people: float
    psi: Estimate
    ratio: Estimate
    auc: Estimate
    groups: tuple[Group, ...]
    signals: Mapping[str, Estimate]

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "people": round(self.people, 1),
            "psi": self.psi.to_json(),
            "ratio": self.ratio.to_json(),
            "auc": self.auc.to_json(),
            "groups": [group.to_json() for group in self.groups],
            "signals": {name: one.to_json() for name, one in self.signals.items()},
        }


def watch_layout(encoder: Encoder, signals: Sequence[str]) -> Layout:
    """The tables of a watch: the score by outcome, and a table for each signal.

    Raises:
        InvalidInput: a signal that the catalogue has not, or too many.
    """
    if len(signals) > MAX_SIGNALS or len(set(signals)) != len(signals):
        raise InvalidInput(f"a watch looks at no more than {MAX_SIGNALS} signals, each once")
    places = _places(encoder, signals)
    blocks = [Block(SCORE, (BINS, 2), SCORE_WEIGHT)]
    blocks += [Block(_SIGNAL + name, (place.edges + 3,)) for name, place in places.items()]
    return Layout(tuple(blocks))


def watch_cells(
    encoder: Encoder,
    signals: Sequence[str],
    raw: Floats,
    labels: NDArray[np.integer],
    x: NDArray[np.float32],
) -> dict[str, Cells]:
    """Which cell of each table each person is in.

    Args:
        encoder: of the catalogue.
        signals: ids of the signals looked at.
        raw: float64[n], raw log-odds.
        labels: [n], 1 = default.
        x: float32[n, width], encoded rows.
    """
    found = {SCORE: (np.searchsorted(EDGES, raw) * 2 + (np.asarray(labels) == 1)).astype(np.int64)}
    for name, place in _places(encoder, signals).items():
        # Bins by how many edges are passed; then none on record; then missing.
        cell = x[:, place.start : place.none].sum(axis=1).astype(np.int64)
        cell[x[:, place.none] == 1] = place.edges + 1
        cell[x[:, place.missing] == 1] = place.edges + 2
        found[_SIGNAL + name] = cell
    return found


def main_signals(encoder: Encoder, weights: Weights, count: int) -> tuple[str, ...]:
    """Ids of the signals that move the additive part of a model most, the first the most."""
    wide = np.abs(weights["wide.weight"][0].astype(np.float64))
    pull = [wide[place.start : place.stop].sum() for place in encoder.columns]
    order = np.argsort(-np.array(pull), kind="stable")[:count]
    return tuple(encoder.catalogue.signals[int(position)].id for position in order)


def read_counts(layout: Layout, total: Cells, noise_multiplier: float, nodes: int) -> Counted:
    """The people in a summed tally.

    Args:
        layout: of `watch_layout`.
        total: int64[size], the sum of the nodes' noised tallies.
        noise_multiplier: that each node added.
        nodes: whose tallies are in the sum.
    """
    found = layout.read(total)
    names = [name for name in found if name.startswith(_SIGNAL)]
    return Counted(
        score=found[SCORE],
        signals={name.removeprefix(_SIGNAL): found[name] for name in names},
        score_noise=layout.deviation(SCORE, noise_multiplier, nodes),
        signal_noise=layout.deviation(names[0], noise_multiplier, nodes) if names else 0.0,
    )


def findings(now: Counted, reference: Counted, calibration: Calibration) -> Findings:
    """Read a watch against its reference."""
    pd = calibration.pd(_CENTRES)
    places = _groups(reference.score.sum(axis=1))
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
    cells = np.bincount(places) * 2
    return Findings(
        people=float(now.score.sum()),
        psi=_psi(
            then.sum(axis=1), totals,
            reference.score_noise * np.sqrt(cells), now.score_noise * np.sqrt(cells),
        ),
        ratio=_interval(_ratio(now.score[None], pd)[0], _ratio(draws, pd)),
        auc=_interval(_auc(now.score[None])[0], _auc(draws)),
        groups=groups,
        signals={
            name: _psi(
                reference.signals[name], row,
                np.full(len(row), reference.signal_noise), np.full(len(row), now.signal_noise),
            )
            for name, row in now.signals.items()
            if name in reference.signals and len(reference.signals[name]) == len(row)
        },
    )  # fmt: skip


def _places(encoder: Encoder, signals: Sequence[str]) -> dict[str, Columns]:
    index = encoder.catalogue.index
    if not set(signals) <= set(index):
        raise InvalidInput("a watch looks at a signal that the catalogue has not")
    return {name: encoder.columns[index[name]] for name in signals}


def _groups(mass: Floats) -> NDArray[np.int64]:
    """The group of each score bin, int64[BINS]: consecutive bins of about a tenth of the people."""
    below = np.maximum(mass, 0.0)
    before = np.cumsum(below) - below / 2
    places = np.minimum((before / max(below.sum(), 1e-9) * GROUPS).astype(np.int64), GROUPS - 1)
    return np.unique(places, return_inverse=True)[1].astype(np.int64)


def _grouped(table: Floats, places: NDArray[np.int64]) -> Floats:
    """Rows of one group added up, float64[groups, columns]."""
    total = np.zeros((int(places.max()) + 1, table.shape[1]))
    np.add.at(total, places, table)
    return total


def _drawn(counts: Floats, noise: float | Floats) -> Floats:
    """What else might have been counted: float64[_DRAWS, *shape]."""
    random = np.random.default_rng(_SEED)
    spread = np.sqrt(np.maximum(counts, 1.0) + np.asarray(noise) ** 2)
    return counts + spread * random.standard_normal((_DRAWS, *counts.shape))


def _psi(then: Floats, now: Floats, noise_then: Floats, noise_now: Floats) -> Estimate:
    observed = _stability(then, now)
    drawn = _stability(_drawn(then, noise_then), _drawn(now, noise_now)[::-1])
    # Drawing adds once more what noise and sampling have added already.
    added = float(np.mean(drawn)) - float(observed)
    value = max(0.0, float(observed) - max(added, 0.0))
    spread = (np.percentile(drawn, 100 - _TAIL) - np.percentile(drawn, _TAIL)) / 2
    return Estimate(value, max(0.0, value - float(spread)), value + float(spread))


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


def _numbers(row: object, length: int) -> list[float]:
    fits = isinstance(row, list) and len(row) <= 4096 and (not length or len(row) == length)
    if not fits or not all(isinstance(one, int | float) and abs(one) < 1e15 for one in row):  # type: ignore[attr-defined]
        raise InvalidInput("counts of a watch are lists of numbers")
    return [float(one) for one in row]  # type: ignore[attr-defined]
