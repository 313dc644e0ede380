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
down by what noise and sampling add to it. Cells are taken together until each of the reference's
groups has four times as many people as its noise; where fewer than two are left, nothing is said.

PSI and its thresholds: Siddiqi 2017, chapter 13; that it grows with sampling noise: Yurdakul 2018.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import BINS, CENTRES, EDGES, Calibration
from models.encoder import Columns, Encoder
from models.evaluation import CALIBRATION, People, evaluation_layout
from models.fields import Fields
from models.plan import CampaignPlan
from models.tally import Block, Counts, Layout
from models.watch_plan import MAX_SIGNALS
from models.weights import Weights, logit
from protocols.errors import InvalidInput, StateConflict

PSI_WATCH, PSI_ALERT = 0.10, 0.25
GROUPS = 10
CLEAR = 4.0
SCORE = "score"
# The score is seen twice as sharply as a signal: three figures are made of it.
SCORE_WEIGHT = 2
_SIGNAL = "signal."
_DRAWS = 400
_SEED = 20_240_229
_TAIL = 5.0  # per cent on each side: an interval holds 90 of 100

Floats = NDArray[np.float64]
Cells = NDArray[np.int64]


class NotTheWatchedModel(StateConflict):
    """A watch was asked for with other weights than those of the bundle that its plan names."""

    code = "not_the_watched_model"
    next_step = "Report it to the network's operator: an honest coordinator sends the bundle's own."


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


def plan_layout(encoder: Encoder, plan: CampaignPlan) -> Layout:
    """The tally that a plan ends with: a watch's, or the evaluation's."""
    if plan.watch is None:
        return evaluation_layout(encoder.catalogue, plan.evaluation)
    return watch_layout(encoder, plan.watch.signals)


def watch_cells(
    encoder: Encoder,
    signals: Sequence[str],
    raw: Floats,
    labels: NDArray[np.floating | np.integer],
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


class WatchTally:
    """Counts a node's people for one watch.

    Args:
        encoder: of the catalogue.
        signals: ids of the signals looked at.
        model: weights of the bundle that the plan names, as it is kept here.
    """

    def __init__(self, encoder: Encoder, signals: Sequence[str], model: Weights) -> None:
        self._encoder = encoder
        self._signals = tuple(signals)
        self._model = model
        self.layout = watch_layout(encoder, signals)

    def count(self, weights: Weights, previous: Weights | None, people: People) -> Counts:  # noqa: ARG002 - as `models.evaluation.Tally`
        """The counts without noise, int64[layout.size]; they must not leave the node as they are.

        Raises:
            NotTheWatchedModel: `weights` are not those of the watched bundle.
        """
        if set(weights) != set(self._model) or any(
            not np.array_equal(weights[name], self._model[name]) for name in self._model
        ):
            raise NotTheWatchedModel("a watch is of the bundle that its plan names")
        raw = logit(weights, people.x)
        cells = watch_cells(self._encoder, self._signals, raw, people.y, people.x)
        return self.layout.add(cells)


def main_signals(encoder: Encoder, weights: Weights, count: int) -> tuple[str, ...]:
    """Ids of the signals that move the additive part of a model most, the first the most."""
    wide = np.abs(weights["wide.weight"][0].astype(np.float64))
    pull = [wide[place.start : place.stop].sum() for place in encoder.columns]
    order = np.argsort(-np.array(pull), kind="stable")[:count]
    return tuple(encoder.catalogue.signals[int(position)].id for position in order)


def read_counts(layout: Layout, total: Cells, noise_multiplier: float, nodes: int) -> Counted:
    """The people in a summed tally.

    Args:
        layout: of `plan_layout`; from an evaluation's, the score is that of those who trained.
        total: int64[size], the sum of the nodes' noised tallies.
        noise_multiplier: that each node added.
        nodes: whose tallies are in the sum.
    """
    found = layout.read(total)
    score = SCORE if SCORE in found else CALIBRATION
    names = [name for name in found if name.startswith(_SIGNAL)]
    return Counted(
        score=found[score],
        signals={name.removeprefix(_SIGNAL): found[name] for name in names},
        score_noise=layout.deviation(score, noise_multiplier, nodes),
        signal_noise=layout.deviation(names[0], noise_multiplier, nodes) if names else 0.0,
    )


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


def _places(encoder: Encoder, signals: Sequence[str]) -> dict[str, Columns]:
    index = encoder.catalogue.index
    if not set(signals) <= set(index):
        raise InvalidInput("a watch looks at a signal that the catalogue has not")
    return {name: encoder.columns[index[name]] for name in signals}


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


def _numbers(row: object, length: int) -> list[float]:
    fits = isinstance(row, list) and len(row) <= 4096 and (not length or len(row) == length)
    if not fits or not all(isinstance(one, int | float) and abs(one) < 1e15 for one in row):  # type: ignore[attr-defined]
        raise InvalidInput("counts of a watch are lists of numbers")
    return [float(one) for one in row]  # type: ignore[attr-defined]
