"""A node's side of evaluation: people of the cohort into the cells of one tally.

One release after the last round says everything that is said of people then: the histogram that
calibration is fitted to, and the counts that the model card is made of. Who trained and who was
held out are different people, so neither group's blocks cost the other anything
(`models/tally.py`): with a fifth held out, calibration pays 3 % more noise for all of the rest.

Blocks, score bins being those of raw log-odds (the calibration is fitted to this very tally):

    calibration     score bin x outcome, of those who trained
    member_losses   loss bin, of those who trained
    held_losses     loss bin, of those held out
    scores          score bin x outcome, of those held out
    previous        the same by the previous version
    reasons         how many quarters of a person's reasons both versions give
    group.ID        cell x score bin x outcome, for each group that the catalogue marks

When nobody is held out there are no losses, and `scores` is `calibration`; the other blocks are of
everybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration import BINS, EDGES
from models.catalogue import Catalogue
from models.encoder import Encoded, Encoder
from models.evaluation_plan import EvaluationPlan
from models.membership_inference import LOSS_BINS, loss_cells
from models.reasons import LEAST_POINTS, MAX_REASONS, contributions
from models.scale import Scale
from models.tally import NOWHERE, Block, Cells, Counts, Layout
from models.weights import Weights, logit

CALIBRATION, MEMBER_LOSSES, HELD_LOSSES = "calibration", "member_losses", "held_losses"
SCORES, PREVIOUS, REASONS, GROUP = "scores", "previous", "reasons", "group."
# Every second edge of the calibration's, and every fourth for groups.
SCORE_EDGES, GROUP_EDGES = EDGES[::2], EDGES[::4]
SCORE_BINS, GROUP_BINS = len(SCORE_EDGES) + 1, len(GROUP_EDGES) + 1
OVERLAPS = MAX_REASONS + 1
_MEMBER, _HELD = "member", "held_out"
_CHUNK = 4096

Floats = NDArray[np.float64]
Labels = NDArray[np.floating | np.integer]


def evaluation_layout(catalogue: Catalogue, plan: EvaluationPlan) -> Layout:
    """The tally of a campaign; all parties compute it from the plan and its catalogue."""
    apart = plan.held_out > 0
    member, held = (_MEMBER, _HELD) if apart else ("", "")
    blocks = [Block(CALIBRATION, (BINS, 2), 4, member)]
    if apart:
        blocks += [
            Block(MEMBER_LOSSES, (LOSS_BINS,), 1, member),
            Block(HELD_LOSSES, (LOSS_BINS,), 1, held),
            Block(SCORES, (SCORE_BINS, 2), 3, held),
        ]
    if plan.previous:
        blocks += [
            Block(PREVIOUS, (SCORE_BINS, 2), 2, held),
            Block(REASONS, (OVERLAPS,), 1, held),
        ]
    blocks += [
        Block(GROUP + group.id, (group.cells, GROUP_BINS, 2), 1, held) for group in catalogue.groups
    ]
    return Layout(tuple(blocks))


@dataclass(frozen=True)
class People:
    """Whom a tally counts, one row a person.

    Attributes:
        x: float32[n, width], encoded.
        y: [n], 1 = default.
        held: bool[n], who was held out; nobody where the plan holds nobody out.
    """

    x: Encoded
    y: Labels
    held: NDArray[np.bool_]


class Tally:
    """Counts a node's people for one plan.

    Args:
        plan: what is measured.
        encoder: of the campaign's catalogue.
    """

    def __init__(self, plan: EvaluationPlan, encoder: Encoder) -> None:
        self._encoder = encoder
        self.layout = evaluation_layout(encoder.catalogue, plan)
        self._apart = plan.held_out > 0

    def count(self, weights: Weights, previous: Weights | None, people: People) -> Counts:
        """The counts without noise; they must not leave the node as they are.

        Args:
            weights: of the model.
            previous: of the version before it, where the plan compares.
            people: whom to count.
        """
        counts = np.zeros(self.layout.size, np.int64)
        for start in range(0, len(people.x), _CHUNK):
            part = slice(start, start + _CHUNK)
            rows = People(people.x[part], people.y[part], people.held[part])
            counts += self.layout.add(self._cells(weights, previous, rows))
        return counts

    def _cells(
        self, weights: Weights, previous: Weights | None, people: People
    ) -> Mapping[str, Cells]:
        x, y = people.x, np.asarray(people.y)
        raw = logit(weights, x)
        measured = people.held if self._apart else np.ones(len(x), bool)
        cells = {CALIBRATION: _of(outcome_cells(raw, y, EDGES), ~people.held)}
        if self._apart:
            lost = loss_cells(raw, y)
            cells[MEMBER_LOSSES] = _of(lost, ~people.held)
            cells[HELD_LOSSES] = _of(lost, people.held)
            cells[SCORES] = _of(outcome_cells(raw, y, SCORE_EDGES), people.held)
        if previous is not None:
            before = outcome_cells(logit(previous, x), y, SCORE_EDGES)
            cells[PREVIOUS] = _of(before, measured)
            cells[REASONS] = _of(self._overlap(weights, previous, x), measured)
        for group in self._encoder.catalogue.groups:
            inside = group_cells(self._encoder, group.id, x) * (GROUP_BINS * 2)
            cells[GROUP + group.id] = _of(inside + outcome_cells(raw, y, GROUP_EDGES), measured)
        return cells

    def _overlap(self, weights: Weights, previous: Weights, x: Encoded) -> Cells:
        """Quarters of the longer of two lists of reasons that the other has too, 0 to 4."""
        now, then = (told(self._encoder, one, x) for one in (weights, previous))
        longer = np.maximum(now.sum(axis=1), then.sum(axis=1))
        both = (now & then).sum(axis=1)
        share = np.divide(both, longer, out=np.ones(len(x)), where=longer > 0)
        return np.asarray(np.rint(share * MAX_REASONS), np.int64)


def outcome_cells(raw: Floats, labels: Labels, edges: Floats) -> Cells:
    """Cell of score bin x outcome, int64[n]; column 1 counts defaults."""
    found = np.searchsorted(edges, raw) * 2 + (np.asarray(labels) == 1)
    return np.asarray(found, np.int64)


def group_cells(encoder: Encoder, group_id: str, x: Encoded) -> Cells:
    """Cell of each person in a group of the catalogue, int64[n]: bins, then none, then missing."""
    catalogue = encoder.catalogue
    group = next(one for one in catalogue.groups if one.id == group_id)
    spec, place = catalogue.signal(group.signal), encoder.columns[catalogue.index[group.signal]]
    columns = [place.start + spec.edges.index(edge) for edge in group.edges]
    cell: Cells = x[:, columns].sum(axis=1).astype(np.int64)
    cell[x[:, place.none] == 1] = len(group.edges) + 1
    cell[x[:, place.missing] == 1] = len(group.edges) + 2
    return cell


def told(encoder: Encoder, weights: Weights, x: Encoded) -> NDArray[np.bool_]:
    """Which reason families a person is told, bool[n, families], before calibration."""
    reference = encoder.reference_of(x)
    points = contributions(weights, encoder, x, reference) * Scale().factor
    families = list(dict.fromkeys(spec.family for spec in encoder.catalogue.signals))
    lost = np.zeros((len(x), len(families)))
    for position, spec in enumerate(encoder.catalogue.signals):
        lost[:, families.index(spec.family)] += points[:, position]
    rank = np.argsort(np.argsort(-lost, axis=1, kind="stable"), axis=1)
    return np.asarray((lost >= LEAST_POINTS) & (rank < MAX_REASONS))


def _of(cells: Cells, who: NDArray[np.bool_]) -> Cells:
    return np.asarray(np.where(who, cells, NOWHERE), np.int64)
