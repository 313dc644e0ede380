"""A prior starts training from public knowledge and moves it in few directions, exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from models.catalogue import load_default
from models.coordinates import Coordinates
from models.encoder import Encoder
from models.local_step import LocalStep
from models.optimiser import ServerOptimiser
from models.plan import Architecture, CampaignPlan
from models.prior import Prior, PriorInvalid
from models.privacy.noise import GRID
from models.proposal import propose
from models.weights import flatten, initial_weights, logit, unflatten

ENCODER = Encoder(load_default())
WIDTH = ENCODER.width
SHAPE = Architecture(hidden=5, block_dropout=0.0)


def prior(deep_scale: float = 0.5, directions: int = 12) -> Prior:
    rng = np.random.default_rng(1)
    start = initial_weights(SHAPE, ENCODER, 2)
    start["wide.weight"] = rng.normal(0, 0.2, start["wide.weight"].shape).astype(np.float32)
    return Prior(
        matrix=rng.integers(-300, 300, (WIDTH, directions)).astype(np.int16),
        centre=rng.integers(-900, 900, directions).astype(np.int32),
        unit=2.0**-8,
        curvature=0.02,
        deep_scale=deep_scale,
        start=start,
    )


def plan(chosen: Prior, clip: float = 1.0) -> CampaignPlan:
    made = propose(
        load_default(),
        "c",
        ["bank-a"],
        rounds=10,
        architecture=replace(SHAPE, prior=chosen.sha256),
        clip=clip,
    )
    return CampaignPlan.from_body(made.to_body())


def rows(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.random((count, WIDTH)) < 0.3).astype(np.float32), rng.integers(0, 2, count)


@pytest.mark.parametrize("deep_scale", [0.0, 0.5, 1.0])
def test_moving_in_a_direction_changes_the_score_by_that_coordinate(deep_scale):
    """The map to the weights and the map of the rows are one and the same."""
    chosen = prior(deep_scale)
    coordinates = Coordinates(replace(SHAPE, prior=chosen.sha256), ENCODER, chosen)
    x, _ = rows(3, 20)
    z = coordinates.rows(x) * coordinates.unit
    start = flatten(chosen.start)
    before = logit(chosen.start, x)
    for direction in (0, 7, coordinates.directions):
        moved = np.zeros(coordinates.size)
        moved[direction] = 0.25
        after = unflatten(start + coordinates.to_weights(moved), SHAPE, WIDTH)
        step = z[:, direction] if direction < coordinates.directions else np.ones(len(x))
        np.testing.assert_allclose(logit(after, x) - before, 0.25 * step, atol=2e-4)


@pytest.mark.parametrize("deep_scale", [0.0, 0.5])
def test_the_sum_is_the_slope_of_the_loss_in_the_priors_coordinates(deep_scale):
    """Finite differences of the loss along every kind of coordinate."""
    chosen = prior(deep_scale)
    made = plan(chosen, clip=1000.0)
    step = LocalStep(made, ENCODER, chosen)
    coordinates = Coordinates(made.architecture, ENCODER, chosen)
    x, y = rows(4, 50)
    total = step.clipped_sum(chosen.start, x, y)
    assert len(total) == coordinates.size + 1
    gradient = total[:-1] * 1000.0 / (GRID * np.sqrt(1 - made.privacy.loss_weight**2))
    start, k = flatten(chosen.start), coordinates.directions

    def loss(moved):
        z = logit(unflatten64(start + coordinates.to_weights(moved)), x)
        return float(np.logaddexp(0, np.where(y == 1, -z, z)).sum())

    places = [0, k - 1, k] + ([k + 1, k + 1 + 5 * k, coordinates.size - 1] if deep_scale else [])
    for place in places:
        shift = np.zeros(coordinates.size)
        shift[place] = 1e-3
        slope = (loss(shift) - loss(-shift)) / 2e-3
        # Coefficients are rounded towards zero to a unit of the grid and of the coordinates.
        assert gradient[place] == pytest.approx(slope, rel=0.02, abs=2.0)


def unflatten64(flat):
    """As `unflatten`, in float64, for differences."""
    width, hidden = WIDTH, SHAPE.hidden
    ends = np.cumsum([width, 1, hidden * width, hidden, hidden])
    wide, bias, layer, biases, out = np.split(flat, ends[:-1])
    return {
        "wide.weight": wide[None],
        "wide.bias": bias,
        "hidden.weight": layer.reshape(hidden, width),
        "hidden.bias": biases,
        "out.weight": out[None],
    }


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    clip=st.sampled_from([1e-3, 1.0, 50.0]),
    deep_scale=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_a_row_moves_the_sum_by_at_most_the_sensitivity_and_exactly_its_own_part(
    seed, clip, deep_scale
):
    chosen = prior(deep_scale)
    step = LocalStep(plan(chosen, clip), ENCODER, chosen)
    x, y = rows(seed, 60)
    moved = step.clipped_sum(chosen.start, x, y) - step.clipped_sum(chosen.start, x[:-1], y[:-1])
    assert (moved == step.clipped_sum(chosen.start, x[-1:], y[-1:])).all()
    assert sum(int(value) ** 2 for value in moved) <= GRID**2


def test_training_starts_from_the_priors_weights_and_is_pulled_back_to_them():
    chosen = prior()
    optimiser = ServerOptimiser(plan(chosen), ENCODER, None, chosen)
    signs = ENCODER.wide_signs
    start = chosen.start["wide.weight"][0] * (chosen.start["wide.weight"][0] * signs >= 0)
    np.testing.assert_array_equal(optimiser.weights["wide.weight"][0], start)
    optimiser.step(np.full(optimiser.parameters, 0.01), 0.0)
    away = np.abs(optimiser.state()["moved"]).max()
    for _ in range(9):
        optimiser.step(np.zeros(optimiser.parameters), 0.0)
    assert 0 < np.abs(optimiser.state()["moved"]).max() < 10 * away
    again = ServerOptimiser.restore(plan(chosen), ENCODER, optimiser.state(), chosen)
    for name, value in optimiser.averaged.items():
        np.testing.assert_array_equal(value, again.averaged[name])


def test_a_hidden_part_that_is_held_stays_as_the_prior_has_it():
    chosen = prior(deep_scale=0.0)
    optimiser = ServerOptimiser(plan(chosen), ENCODER, None, chosen)
    assert optimiser.parameters == 13
    optimiser.step(np.ones(13), 0.0)
    for name in ("hidden.weight", "hidden.bias", "out.weight"):
        np.testing.assert_array_equal(optimiser.weights[name], chosen.start[name])
    assert (optimiser.weights["wide.weight"] != chosen.start["wide.weight"]).any()


def test_a_prior_survives_its_file_and_its_hash_names_it():
    chosen = prior()
    again = Prior.from_bytes(chosen.to_bytes())
    assert again.sha256 == chosen.sha256 != prior(deep_scale=0.25).sha256
    np.testing.assert_array_equal(again.matrix, chosen.matrix)


def test_a_plan_with_a_prior_that_is_not_here_is_refused():
    """A node never trains from a map that its operator did not install."""
    for other in (None, prior(deep_scale=0.25)):
        with pytest.raises(PriorInvalid):
            LocalStep(plan(prior()), ENCODER, other)


def test_a_prior_for_another_network_is_refused():
    chosen = prior()
    wrong = replace(SHAPE, hidden=6, prior=chosen.sha256)
    with pytest.raises(PriorInvalid):
        Coordinates(wrong, ENCODER, chosen)


@pytest.mark.parametrize(
    "change",
    [
        {"unit": 0.3},
        {"unit": 2.0},
        {"curvature": 0.0},
        {"curvature": float("nan")},
        {"deep_scale": 1.5},
        {"matrix": np.full((WIDTH, 12), 3000, np.int16)},
        {"centre": np.zeros(3, np.int32)},
        {"start": {"wide.weight": np.full((1, WIDTH), np.nan, np.float32)}},
    ],
)
def test_a_prior_outside_its_limits_is_refused(change):
    with pytest.raises(PriorInvalid):
        replace(prior(), **change)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a file",
        save({"matrix": np.zeros((3, 2), np.int16)}),
        save({"matrix": np.zeros((3, 2)), "centre": np.zeros(2), "numbers": np.zeros(3)}),
    ],
)
def test_a_file_that_is_no_prior_is_refused(data):
    with pytest.raises(PriorInvalid):
        Prior.from_bytes(data)
