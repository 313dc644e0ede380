"""Baselines: each beats a floor, keeps the catalogue's directions, and refuses useless labels."""

import json
import sys

import numpy as np
import pytest

from models.baselines.additive import (
    BaselineInvalid,
    bins_of,
    read_additive,
)
from models.baselines.compare import KINDS, Comparison, baselines, compare
from models.baselines.expert import ExpertScorecard
from models.baselines.interface import LabelsUnusable, Scorer, cut
from models.baselines.regression import fit_logit
from models.baselines.trees import BaselinesNotInstalled
from models.baselines.woe import pool
from models.calibration import sigmoid
from models.catalogue import SignalStatus
from models.encoder import Encoder
from models.metrics import auc
from protocols.canonical import canonical_json
from protocols.errors import InvalidInput
from tests.models.population import Population

SCORECARDS = ("expert_scorecard", "woe_logistic")
FLOORS = {
    "expert_scorecard": 0.70,
    "woe_logistic": 0.73,
    "decision_tree": 0.68,
    "random_forest": 0.72,
    "local_gbdt": 0.71,
    "fusion": 0.73,
}


@pytest.fixture(scope="module")
def x(encoder: Encoder, people: Population):
    return encoder.encode(people.status[:3000], people.value[:3000])


@pytest.fixture(scope="module")
def y(people: Population):
    return people.label[:3000]


@pytest.fixture(scope="module")
def scorecards(encoder, x, y) -> dict[str, Scorer]:
    return {one.kind: one.fit(x, y, 5) for one in baselines(encoder, SCORECARDS)}


@pytest.fixture(scope="module")
def comparison(encoder, x, y) -> Comparison:
    pytest.importorskip("sklearn")
    return compare(encoder, x, y, 5)


def test_every_baseline_is_better_than_its_floor_and_its_pd_is_near_what_happened(comparison):
    assert tuple(line.model for line in comparison.lines) == KINDS
    assert (comparison.fitted, comparison.held_out) == (2100, 900)
    for line in comparison.lines:
        assert line.auc > FLOORS[line.model], line
        assert line.ks > 0.25, line
        assert line.ece < 0.08, line


@pytest.mark.parametrize("kind", ["decision_tree", "random_forest", "local_gbdt"])
def test_trees_keep_the_catalogues_directions_too_and_leave_them_as_they_are(encoder, x, y, kind):
    """scikit-learn turns an array of signs around in place; ours must not be that array."""
    pytest.importorskip("sklearn")
    signs = encoder.wide_signs.copy()
    (one,) = baselines(encoder, [kind])
    scorer = one.fit(x, y, 2)
    np.testing.assert_array_equal(encoder.wide_signs, signs)
    for column in np.flatnonzero(signs)[::6]:
        low, high = x[:200].copy(), x[:200].copy()
        low[:, column], high[:, column] = 0, 1
        assert ((scorer.pd(high) - scorer.pd(low)) * signs[column] >= -1e-9).all(), column


def test_a_card_says_that_the_model_is_local_and_not_private(comparison):
    for card in comparison.cards:
        assert card["differentially_private"] is False
        assert card["scope"].endswith("never released")
        assert json.loads(canonical_json(card))["kind"] == card["kind"]


@pytest.mark.parametrize("kind", ["woe_logistic", "decision_tree", "random_forest", "local_gbdt"])
def test_the_same_seed_makes_the_same_model(encoder, x, y, kind):
    if kind not in SCORECARDS:
        pytest.importorskip("sklearn")
    (one,) = baselines(encoder, [kind])
    few = slice(0, 1000)
    first, second = one.fit(x[few], y[few], 7), one.fit(x[few], y[few], 7)
    np.testing.assert_array_equal(first.pd(x), second.pd(x))


def test_points_fall_where_pd_rises_and_lie_on_the_scale(scorecards, x):
    for scorer in scorecards.values():
        order = np.argsort(scorer.pd(x), kind="stable")
        points = scorer.points(x)[order]
        assert (np.diff(points) <= 0).all()
        assert points.min() >= 300
        assert points.max() <= 850
        assert len(np.unique(points)) > 50


def test_a_signal_that_moves_the_risky_way_never_lowers_the_pd(scorecards, encoder, people):
    """Where the catalogue claims a direction, the linear baselines keep it."""
    for scorer in scorecards.values():
        for position, spec in enumerate(encoder.catalogue.signals):
            if not spec.monotone or spec.derived is not None:
                continue
            table = scorer.core.tables[position][:-2] * spec.monotone
            assert (np.diff(table) >= 0).all(), spec.id


def test_someone_of_whom_nothing_is_known_still_gets_a_pd(scorecards, encoder):
    """Missing signals are bins of their own, and a refusal looks like an absence."""
    size = len(encoder.catalogue.signals)
    value = np.zeros((3, size))
    value[2] = np.nan
    status = np.full((3, size), SignalStatus.NOT_HELD, np.uint8)
    status[1] = SignalStatus.NO_CONSENT
    status[2] = SignalStatus.PRESENT
    rows = encoder.encode(status, value)
    edges = [place.edges + 2 for place in encoder.columns]
    assert bins_of(encoder, rows).tolist() == [edges] * 3
    for scorer in scorecards.values():
        pd = scorer.pd(rows)
        assert np.isfinite(pd).all()
        assert pd[0] == pd[1] == pd[2]
        assert 0.01 < pd[0] < 0.6


def test_nothing_on_record_is_neither_missing_nor_zero(encoder):
    size = len(encoder.catalogue.signals)
    rows = encoder.encode(
        np.full((1, size), SignalStatus.NONE_ON_RECORD, np.uint8), np.zeros((1, size))
    )
    assert bins_of(encoder, rows).tolist() == [[place.edges + 1 for place in encoder.columns]]


def test_the_expert_scorecard_has_whole_points_and_none_for_the_reference(encoder):
    for spec, points in zip(
        encoder.catalogue.signals, ExpertScorecard(encoder).points(), strict=True
    ):
        assert np.array_equal(points, np.rint(points))
        assert not points[-2:].any()
        if spec.monotone and spec.reference is not None:
            assert points[int((spec.reference > np.array(spec.edges)).sum())] == 0
        if not spec.monotone:
            assert not points.any()


@pytest.mark.parametrize("labels", ["zeros", "ones", "few", "strange"])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_one_class_are_refused_by_code(encoder, x, kind, labels):
    """No baseline is fitted on outcomes of one class, of too few, or of something else."""
    y = np.zeros(len(x), np.int64)
    y[: {"zeros": 0, "ones": len(x), "few": 19, "strange": 500}[labels]] = 1
    if labels == "strange":
        y[0] = 2
    (one,) = baselines(encoder, [kind])
    with pytest.raises(LabelsUnusable) as raised:
        one.fit(x, y, 1)
    assert raised.value.code == "labels_of_one_class"


def test_rows_of_another_width_are_refused(encoder, x, y):
    (one,) = baselines(encoder, ["woe_logistic"])
    with pytest.raises(InvalidInput):
        one.fit(x[:, 1:], y, 1)
    with pytest.raises(InvalidInput):
        baselines(encoder, ["oracle"])


def test_without_scikit_learn_trees_say_what_to_install(encoder, x, y, monkeypatch):
    for name in ("sklearn", "sklearn.tree", "sklearn.ensemble"):
        monkeypatch.setitem(sys.modules, name, None)
    assert len(compare(encoder, x, y, 1, SCORECARDS).lines) == 2
    with pytest.raises(BaselinesNotInstalled) as raised:
        compare(encoder, x, y, 1, ["decision_tree"])
    assert "credence[baselines]" in raised.value.next_step


@pytest.mark.parametrize("kind", SCORECARDS)
def test_a_scorecard_comes_back_from_json_bit_for_bit(scorecards, encoder, x, kind):
    body = json.loads(json.dumps(scorecards[kind].core.to_json()))
    again = read_additive(body, encoder)
    np.testing.assert_array_equal(again.raw(x), scorecards[kind].core.raw(x))
    assert again.to_json() == body


@pytest.mark.parametrize("change", [{"base": 1e6}, {"tables": []}, {"extra": 1}])
def test_a_changed_scorecard_is_refused(scorecards, encoder, change):
    with pytest.raises(BaselineInvalid):
        read_additive(scorecards["woe_logistic"].core.to_json() | change, encoder)


def test_a_scorecard_that_turns_a_direction_around_is_refused(scorecards, encoder):
    body = scorecards["expert_scorecard"].core.to_json()
    position = encoder.catalogue.index["credit_limit"]
    body["tables"][position] = [-one for one in body["tables"][position]]
    with pytest.raises(BaselineInvalid, match="direction"):
        read_additive(body, encoder)


def test_the_cut_keeps_the_share_of_defaults(y):
    first, second = cut(y, 0.3, 3)
    assert len(first) + len(second) == len(y)
    assert not set(first.tolist()) & set(second.tolist())
    assert abs(y[first].mean() - y[second].mean()) < 0.002


def test_the_solver_finds_the_weights_that_made_the_labels_and_holds_its_bounds():
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(20_000, 3))
    labels = (generator.random(20_000) < sigmoid(rows @ [1.0, -0.7, 0.3] - 1)).astype(np.int64)
    free = fit_logit(rows, labels, ridge=1e-6, nonnegative=np.zeros(3, bool))
    np.testing.assert_allclose(free, [1.0, -0.7, 0.3, -1.0], atol=0.08)
    p = sigmoid(np.column_stack([rows, np.ones(20_000)]) @ free)
    assert np.abs(rows.T @ (p - labels)).max() < 1e-3
    held = fit_logit(rows, labels, ridge=1e-6, nonnegative=np.ones(3, bool))
    assert held[1] == 0
    assert auc(labels, rows @ held[:3]) > 0.7


def test_pooling_gives_the_nearest_rising_sequence():
    found = pool(np.array([3.0, 1.0, 2.0, 5.0, 4.0]), np.ones(5))
    assert found.tolist() == [2.0, 2.0, 2.0, 4.5, 4.5]
