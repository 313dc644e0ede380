"""What a model card says, how sure it is of it, and what it leaves out."""

from dataclasses import replace

import numpy as np
import pytest

from models.bundle import Bundle, Manifest
from models.calibration import Calibration, sigmoid
from models.card import CardInvalid, Count, Figure, ModelCard
from models.card_figures import (
    Table,
    auc,
    bin_pd,
    churn,
    count_band,
    ece,
    in_bands,
    joined,
    ks,
    measured,
    psi,
)
from models.card_making import Circumstances, Opened, Scoring, make_card
from models.catalogue import Catalogue, CatalogueInvalid, Group, load_default
from models.encoder import Encoder
from models.evaluation import (
    GROUP_EDGES,
    OVERLAPS,
    SCORE_BINS,
    SCORE_EDGES,
    People,
    Tally,
    evaluation_layout,
    group_cells,
    outcome_cells,
    told,
)
from models.evaluation_plan import MAX_SPREAD, EvaluationPlan
from models.metrics import auc as exact_auc
from models.metrics import ece as exact_ece
from models.metrics import ks as exact_ks
from models.plan import PlanInvalid
from models.privacy.noise import GRID
from models.proposal import propose
from models.scale import BAND_FLOORS, Band, Scale
from models.weights import initial_weights
from protocols.canonical import canonical_json, parse_json
from tests.models.population import make

CATALOGUE = load_default()
ENCODER = Encoder(CATALOGUE)
PLAN = propose(CATALOGUE, "c", ["a", "b", "c"], rounds=20, previous=("model-0001", 16))
BANDS = tuple(Band(name, floor, 0.1, 0.125) for name, floor in BAND_FLOORS)
SCORING = Scoring(Calibration(shift=-2.2), Scale(), BANDS)


def borrowers(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw log-odds and outcomes."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(-1.5, 1.2, size)
    return raw, (rng.random(size) < sigmoid(raw)).astype(int)


def table(raw: np.ndarray, y: np.ndarray, deviation: float, seed: int) -> Table:
    """Score bin x outcome, with noise."""
    cells = outcome_cells(raw, y, SCORE_EDGES)
    counts = np.bincount(cells, minlength=SCORE_BINS * 2).reshape(SCORE_BINS, 2)
    noise = np.random.default_rng(seed).normal(0, deviation, counts.shape)
    return Table(counts + noise, deviation)


def card_of(size: int, noise: float, *, held_out: float = 0.2) -> ModelCard:
    """The card of some weights on made-up people of three nodes."""
    population = make(CATALOGUE, size, seed=3)
    x = ENCODER.encode(population.status, population.value)
    held = np.random.default_rng(0).random(size) < held_out
    evaluation = replace(PLAN.evaluation, held_out=held_out)
    plan = replace(PLAN, evaluation=evaluation)
    tally = Tally(evaluation, ENCODER)
    weights, before = (initial_weights(PLAN.architecture, ENCODER, seed) for seed in (1, 2))
    counts = tally.count(weights, before, People(x, population.label, held))
    layout = tally.layout
    # Noise of a seed: one tally of nothing but noise in thirty thousand is taken for people.
    drawn = np.random.default_rng(4).normal(0, noise * layout.spread * GRID, layout.size)
    total = counts * (GRID // layout.heaviest) + np.rint(drawn).astype(np.int64)
    opened = Opened(layout, total, 1, noise)
    around = Circumstances(("a", "b"), {"a": 512.0})
    return make_card(plan, CATALOGUE, opened, SCORING, SCORING, around)


def test_figures_of_bins_are_those_of_the_people_in_them() -> None:
    raw, y = borrowers(40_000, 1)
    counts = table(raw, y, 1e-9, 0).counts[None]
    pd = bin_pd(SCORE_EDGES, Calibration())
    assert auc(counts)[0] == pytest.approx(exact_auc(y, raw), abs=0.006)
    assert ks(counts)[0] == pytest.approx(exact_ks(y, raw), abs=0.02)
    assert ece(pd)(counts)[0] == pytest.approx(exact_ece(y, sigmoid(raw)), abs=0.01)


@pytest.mark.parametrize("deviation", [1.0, 30.0])
def test_intervals_hold_the_truth_about_as_often_as_they_say(deviation: float) -> None:
    """Over new people and new noise: at least 87 of 100 where 95 are claimed."""
    known, outcomes = borrowers(400_000, 7)
    exact = table(known, outcomes, 1e-9, 0).counts[None]
    truth = {"auc": auc(exact)[0], "ks": ks(exact)[0]}
    held = dict.fromkeys(truth, 0)
    runs = 100
    for seed in range(runs):
        raw, y = borrowers(12_000, 1000 + seed)
        seen = table(raw, y, deviation, seed)
        for name, statistic in (("auc", auc), ("ks", ks)):
            figure = measured(statistic, [seen])
            assert figure is not None
            held[name] += figure.low <= truth[name] <= figure.high
    assert min(held.values()) >= 87


def test_psi_is_near_nothing_for_the_same_people_and_large_for_others() -> None:
    inside = in_bands(SCORE_EDGES, BANDS, Calibration(), Scale())
    raw, y = borrowers(30_000, 2)
    before = table(raw, y, 10.0, 1)
    same = measured(psi(inside, inside), [before, table(raw, y, 10.0, 2)], high=10)
    moved = measured(psi(inside, inside), [before, table(raw + 1.2, y, 10.0, 3)], high=10)
    assert same is not None
    assert moved is not None
    assert same.low == 0
    assert same.value < 0.02
    assert moved.low > 0.25


def test_every_bin_lies_in_the_bands_once() -> None:
    inside = in_bands(SCORE_EDGES, BANDS, Calibration(shift=-0.4, above=0.8), Scale())
    np.testing.assert_allclose(inside.sum(axis=0), 1)
    assert inside.min() >= 0
    fine = np.arange(2 * 34.0).reshape(34, 2)
    assert joined(fine, 18).sum() == joined(fine, 10).sum() == fine.sum()


def test_reasons_that_stay_are_no_churn_and_new_ones_are_all_of_it() -> None:
    stay, change = np.zeros((2, 1, OVERLAPS))
    stay[0, -1] = change[0, 0] = 9
    assert (churn(stay)[0], churn(change)[0]) == (0, 1)
    population = make(CATALOGUE, 300, seed=5)
    x = ENCODER.encode(population.status, population.value)
    weights, other = (initial_weights(PLAN.architecture, ENCODER, seed) for seed in (1, 2))
    assert told(ENCODER, weights, x).sum(axis=1).max() <= 4
    tally = Tally(PLAN.evaluation, ENCODER)
    people = People(x, population.label, np.ones(300, bool))
    for previous, kept in ((weights, 300), (other, None)):
        found = tally.layout.read(tally.count(weights, previous, people) * (2**22 // 4))["reasons"]
        assert found.sum() == 300
        assert kept is None or found[-1] == kept
    assert found[-1] < 200


@pytest.mark.parametrize("held_out", [0.0, 0.2])
def test_no_one_person_moves_the_tally_further_than_it_is_charged_for(held_out: float) -> None:
    """Held out or not, compared or not: the distance is at most the layout's sensitivity."""
    population = make(CATALOGUE, 60, seed=9)
    x = ENCODER.encode(population.status, population.value)
    weights, before = (initial_weights(PLAN.architecture, ENCODER, seed) for seed in (1, 2))
    tally = Tally(replace(PLAN.evaluation, held_out=held_out), ENCODER)
    held = np.arange(60) % 4 == 0 if held_out else np.zeros(60, bool)
    whole = tally.count(weights, before, People(x, population.label, held))
    most = 0.0
    for index in range(60):
        rest = np.arange(60) != index
        people = People(x[rest], population.label[rest], held[rest])
        moved = whole - tally.count(weights, before, people)
        most = max(most, float(np.linalg.norm(moved)))
    assert most == pytest.approx(tally.layout.sensitivity)
    assert tally.layout.spread <= MAX_SPREAD


def test_the_noise_of_any_catalogue_fits_the_ring_that_plans_keep_for_it() -> None:
    groups = tuple(Group(f"g{one}", "credit_limit", (40000.0,)) for one in range(8))
    many = replace(CATALOGUE, groups=groups)
    for held_out in (0.0, 0.3):
        assert evaluation_layout(many, replace(PLAN.evaluation, held_out=held_out)).spread < 2


def test_a_card_is_whole_with_many_people_and_survives_json() -> None:
    card = card_of(9000, 0.5)
    assert {"auc", "ks", "psi_previous", "membership_auc", "reason_churn", "previous_auc"} <= set(
        card.figures
    )
    assert any(line.ratio is not None for line in card.groups)
    assert [one.name for one in card.bands] == [name for name, _ in BAND_FLOORS]
    again = ModelCard.from_json(parse_json(canonical_json(card.to_json()), max_bytes=1 << 18))
    assert again == card
    flat = card.flat()
    assert flat["auc_low"] <= flat["auc"] <= flat["auc_high"]


def test_counts_are_bands_and_never_counts() -> None:
    card = card_of(9000, 0.5)
    assert (card.trained, card.measured) == (Count(5000, 10000), Count(1000, 2000))
    assert [one.people for one in card.nodes] == [Count(500, 1000), None]
    assert [count_band(one) for one in (-5, 99, 100, 260, 5000)] == [
        Count(0, 100), Count(0, 100), Count(100, 200), Count(200, 500), Count(5000, 10000),
    ]  # fmt: skip
    assert "9000" not in canonical_json(card.to_json()).decode()


def test_what_cannot_be_told_from_noise_or_is_about_few_is_not_said() -> None:
    card = card_of(400, 12.0)
    assert card.figures == {}
    assert all(line.auc is None and line.approved is None for line in card.groups)
    assert "few_people" in card.limits


def test_without_people_held_out_the_card_says_so_and_has_no_membership_figure() -> None:
    card = card_of(9000, 0.5, held_out=0.0)
    assert card.measured_on == "trained_on"
    assert not [name for name in card.figures if name.startswith("membership")]
    assert {"measured_on_trained", "no_membership_test"} <= set(card.limits)
    assert "auc" in card.figures


def test_the_same_tally_always_gives_the_same_card() -> None:
    seen = table(*borrowers(5000, 3), 20.0, 1)
    assert measured(auc, [seen]) == measured(auc, [seen])


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"measured_on": "elsewhere"},
        {"figures": {"novel": {"value": 1, "low": 0, "high": 2}}},
        {"figures": {"auc": {"value": 3, "low": 0, "high": 2}}},
        {"limits": ["unheard_of"]},
        {"extra": 1},
        {"most_an_attack_can": 2},
    ],
)
def test_a_card_outside_its_limits_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CardInvalid):
        ModelCard.from_json(card_of(400, 12.0).to_json() | change)


def test_the_card_is_under_the_manifests_hash() -> None:
    card = card_of(400, 12.0)
    manifest = Manifest(
        version="m", created_at_ms=0, campaign_id="c", plan_sha256="0" * 64, catalogue_version=1,
        catalogue_sha256="0" * 64, architecture=PLAN.architecture, width=ENCODER.width,
        calibration=Calibration(), scale=Scale(), bands=BANDS, privacy=PLAN.privacy, epsilon=1.0,
        rounds=1, members=("a",), metrics=card.flat(), card=card,
    )  # fmt: skip
    weights = initial_weights(PLAN.architecture, ENCODER, 0)
    assert Bundle.load(*Bundle(manifest, weights).pack()).manifest.card == card


@pytest.mark.parametrize(
    "change",
    [
        {"held_out": 0.6},
        {"split": ""},
        {"previous_hidden": 0},
        {"previous": "x" * 41},
        {"previous_hidden": 257},
    ],
)
def test_an_evaluation_outside_the_limits_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PlanInvalid):
        EvaluationPlan.from_json(PLAN.evaluation.to_json() | change, PlanInvalid)


def test_groups_are_cut_at_edges_of_their_signal_only() -> None:
    for group in (
        Group("x", "credit_limit", (41_000.0,)),
        Group("x", "credit_limit", ()),
        Group("x", "credit_limit", (130_000.0, 40_000.0)),
        Group("religion", "credit_limit", (40_000.0,)),
        Group("x", "nothing", (1.0,)),
    ):
        with pytest.raises(CatalogueInvalid):
            replace(CATALOGUE, groups=(group,))
    assert Catalogue.from_body(CATALOGUE.to_body()) == CATALOGUE
    population = make(CATALOGUE, 200, seed=1, public=False)
    cells = group_cells(
        ENCODER, "credit_limit", ENCODER.encode(population.status, population.value)
    )
    limit = population.value[:, CATALOGUE.index["credit_limit"]]
    np.testing.assert_array_equal(cells, np.searchsorted([40_000, 130_000], limit))
    assert CATALOGUE.groups[0].labels == ("<=40000", "40000-130000", ">130000", "none", "missing")
    assert len(GROUP_EDGES) == 9


def test_a_figure_is_within_its_interval() -> None:
    with pytest.raises(CardInvalid):
        Figure.from_json({"value": 0.5, "low": 0.6, "high": 0.7})
