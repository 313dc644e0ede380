"""How a watch counts people at each node, and what the sum of the nodes' noised tallies holds.

A watch is a campaign that trains nobody: its tally (`models/tally.py`) has the score bins of
calibration by outcome, and the bins of some signals. What is found in it is read by
`models/drift.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibration import BINS, EDGES
from models.encoder import Columns, Encoder
from models.evaluation import CALIBRATION, People, evaluation_layout
from models.fields import Fields
from models.plan import CampaignPlan
from models.tally import Block, Cells, Counts, Floats, Layout
from models.watch_plan import MAX_SIGNALS
from models.weights import Weights, logit
from protocols.errors import InvalidInput, StateConflict

SCORE = "score"
# The score is seen twice as sharply as a signal: three figures are made of it.
SCORE_WEIGHT = 2
_SIGNAL = "signal."


class NotTheWatchedModel(StateConflict):
    """A watch was asked for with other weights than those of the bundle that its plan names."""

    code = "not_the_watched_model"
    next_step = "Report it to the network's operator: an honest coordinator sends the bundle's own."


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


def _places(encoder: Encoder, signals: Sequence[str]) -> dict[str, Columns]:
    index = encoder.catalogue.index
    if not set(signals) <= set(index):
        raise InvalidInput("a watch looks at a signal that the catalogue has not")
    return {name: encoder.columns[index[name]] for name in signals}


def _numbers(row: object, length: int) -> list[float]:
    fits = isinstance(row, list) and len(row) <= 4096 and (not length or len(row) == length)
    if not fits or not all(isinstance(one, int | float) and abs(one) < 1e15 for one in row):  # type: ignore[attr-defined]
        raise InvalidInput("counts of a watch are lists of numbers")
    return [float(one) for one in row]  # type: ignore[attr-defined]
