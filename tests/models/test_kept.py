"""Models that a node keeps: fitted, written, read back within limits, refused when changed."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from models.baselines import kept_form
from models.baselines.additive import BaselineInvalid, BaselineNotPortable
from models.baselines.boosted import from_sklearn, read_boosted
from models.baselines.interface import LabelsUnusable
from models.baselines.kept import KINDS, Fitted, SharedScore, fit_kept
from models.baselines.kept_form import Card, people_band
from models.baselines.trees import LocalGbdt
from models.calibration import Calibration
from models.catalogue import Catalogue
from models.encoder import Encoder
from models.metrics import auc, ece
from models.plan import Architecture
from models.weights import initial_weights
from protocols.canonical import canonical_json
from protocols.errors import CredenceError, InvalidInput
from tests.models.population import Population

pytest.importorskip("sklearn")
ROWS = slice(0, 2000)


@pytest.fixture(scope="module")
def x(encoder: Encoder, people: Population):
    return encoder.encode(people.status[:3000], people.value[:3000])


@pytest.fixture(scope="module")
def y(people: Population):
    return people.label[:3000]


@pytest.fixture(scope="module")
def shared(encoder: Encoder, people: Population) -> SharedScore:
    """A shared score that leans on late payments alone."""
    weights = initial_weights(Architecture(), encoder, 1)
    place = encoder.columns[encoder.catalogue.index["worst_status_6m"]]
    weights["wide.weight"][0, place.start : place.none] = 0.5
    weights["wide.bias"][:] = -2.0
    return SharedScore("net-1", "ab" * 32, weights, Calibration())


@pytest.fixture(scope="module")
def fused(encoder, x, y, shared) -> Fitted:
    return fit_kept(encoder, "shared_fusion", x[ROWS], y[ROWS], 3, shared)


def card(encoder: Encoder, fitted: Fitted) -> Card:
    model = fitted.model
    return Card(
        model_id="own_1",
        kind=model.kind,
        member_id="bank-a",
        created_at_ms=1,
        catalogue_version=encoder.catalogue.version,
        catalogue_sha256=encoder.catalogue.sha256,
        shared_version=model.shared.version if model.shared else "",
        shared_sha256=model.shared.tensors_sha256 if model.shared else "",
        cohort_root="00" * 32,
        people=people_band(2000),
        figures=fitted.figures,
    )


def test_a_fusion_is_better_than_either_half_and_its_pd_is_near_what_happened(fused, x, y):
    """Three of ten rows were not fitted on: there the blend beats the shared score by far and its
    own half by a little, or is at it."""
    held, truth = x[2000:], y[2000:]
    logit = fused.model.logit(held)
    own = np.sum([part.share(held) for part in fused.model.parts], axis=0)
    assert auc(truth, logit) > auc(truth, fused.model.shared.logit(held)) + 0.02
    assert auc(truth, logit) > auc(truth, own) - 0.01
    assert ece(truth, 1 / (1 + np.exp(-logit))) < 0.06
    assert fused.figures["auc"] < auc(truth, logit) + 0.03  # folds do not flatter


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"own_fusion"}))
def test_a_kept_model_comes_back_bit_for_bit(encoder, x, y, shared, fused, kind):
    fitted = fused if kind == "shared_fusion" else fit_kept(encoder, kind, x[:600], y[:600], 1)
    body = kept_form.write(fitted.model, card(encoder, fitted))
    again = kept_form.read(body, encoder, fitted.model.shared)
    np.testing.assert_array_equal(again.logit(x), fitted.model.logit(x))
    assert kept_form.write(again, kept_form.read_card(body)) == body


def test_it_tells_which_signals_take_points(fused, encoder, people):
    """A signal at its reference takes nothing; what nobody gave takes nothing."""
    status, value = people.status[:1].copy(), people.value[:1].copy()
    lost = fused.model.points_lost(status, value)
    assert lost.shape == (len(encoder.catalogue.signals),)
    status[:] = 0
    assert not fused.model.points_lost(status, value).any()


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(format=2),
        lambda body: body.update(extra=1),
        lambda body: body.update(shared_weight=0.9),
        lambda body: body["card"].update(differentially_private=True),
        lambda body: body["card"].update(scope="anybody"),
        lambda body: body["card"].update(catalogue_sha256="0" * 64),
        lambda body: body["card"].update(shared_sha256="0" * 64),
        lambda body: body["card"].update(kind="own_fusion"),
        lambda body: body["card"]["figures"].update(auc=2),
        lambda body: body["parts"].pop(),
        lambda body: body["parts"][0].update(weight=0.9),
        lambda body: body["parts"][0].update(weight=-0.2),
        lambda body: body["parts"][0].update(form="pickle"),
        lambda body: body["parts"][0].update(kind="local_gbdt"),
        lambda body: body["parts"].append(body["parts"][0]),
    ],
)
def test_a_changed_form_is_refused(fused, encoder, shared, change: Callable[[dict], object]):
    body = json.loads(kept_form.write(fused.model, card(encoder, fused)))
    change(body)
    with pytest.raises(CredenceError):
        kept_form.read(canonical_json(body), encoder, shared)


def test_without_the_shared_score_it_was_blended_with_it_is_refused(fused, encoder):
    body = kept_form.write(fused.model, card(encoder, fused))
    with pytest.raises(BaselineInvalid, match="another shared score"):
        kept_form.read(body, encoder, None)


def test_of_another_catalogue_it_is_refused(fused, encoder, shared):
    body = kept_form.write(fused.model, card(encoder, fused))
    catalogue = encoder.catalogue
    other = Encoder(
        Catalogue.from_body(catalogue.to_body().replace(b'"version":1', b'"version":2'))
    )
    with pytest.raises(BaselineInvalid, match="another catalogue"):
        kept_form.read(body, other, shared)


def _leaf(tree: list) -> int:
    return next(node for node, column in enumerate(tree[0]) if column == -1)


def _turn(trees: list, encoder: Encoder) -> None:
    """Swap both sides of every split."""
    for tree in trees:
        tree[1], tree[2] = tree[2], tree[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_turn, "direction"),
        (lambda trees, encoder: trees[0][0].__setitem__(0, encoder.width), "not there"),
        (lambda trees, encoder: trees[0][0].__setitem__(0, -2), "not there"),
        (lambda trees, encoder: trees[0][1].__setitem__(0, 0), "not a tree"),
        (lambda trees, encoder: trees[0][1].__setitem__(0, trees[0][2][0]), "not a tree"),
        (lambda trees, encoder: trees[0][3].__setitem__(_leaf(trees[0]), 1e9), "range"),
        (lambda trees, encoder: trees[0][3].pop(), "described alike"),
        (lambda trees, encoder: trees[0].pop(), "four lists"),
        (lambda trees, encoder: trees[0][0].__setitem__(0, True), "whole"),
        (lambda trees, encoder: trees[0][1].__setitem__(0, 1.5), "whole"),
        (lambda trees, encoder: trees[0].__setitem__(0, "columns"), "missing or too long"),
        (lambda trees, encoder: trees[0].__setitem__(0, [-1] * 200), "missing or too long"),
        (lambda trees, encoder: trees.extend([trees[0]] * 400), "trees"),
    ],
)
def test_trees_that_are_no_trees_or_go_against_a_direction_are_refused(
    fused, encoder, change, said
):
    """Nothing that is read loops, reaches beyond a row or turns a direction around."""
    body = json.loads(canonical_json(fused.model.parts[1].core.to_json()))
    change(body["trees"], encoder)
    with pytest.raises(BaselineInvalid, match=said):
        read_boosted(body, encoder)


def test_trees_of_another_library_are_not_believed(encoder, x, y):
    """What is taken out of scikit-learn must answer as it does, or it is not taken."""

    class Other:
        """A model that keeps its trees in another way."""

    with pytest.raises(BaselineNotPortable, match="another way"):
        from_sklearn(Other(), x)

    class Lying:
        """A model whose answers are not those of its trees."""

        _baseline_prediction = np.zeros((1, 1))
        _predictors = ()

        def decision_function(self, rows):
            return np.ones(len(rows))

    with pytest.raises(BaselineNotPortable, match="do not answer"):
        from_sklearn(Lying(), x)
    assert LocalGbdt(encoder).learn(x[:600], y[:600], 1).facts()["trees"] == 150


def test_what_cannot_be_fitted_is_refused(encoder, x, y, shared):
    with pytest.raises(InvalidInput, match="shared score in force"):
        fit_kept(encoder, "shared_fusion", x, y, 1)
    with pytest.raises(InvalidInput, match="can be kept"):
        fit_kept(encoder, "random_forest", x, y, 1)
    with pytest.raises(LabelsUnusable):
        fit_kept(encoder, "woe_logistic", x, np.zeros_like(y), 1)
    with pytest.raises(LabelsUnusable):
        fit_kept(encoder, "woe_logistic", x[:30], y[:30], 1)


@pytest.mark.parametrize(
    ("size", "band"), [(40, "20-49"), (50, "50-99"), (1999, "1000-1999"), (30_000, "20000-49999")]
)
def test_people_are_told_in_bands(size, band):
    assert people_band(size) == band
