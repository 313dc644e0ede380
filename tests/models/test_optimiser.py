"""The optimiser descends, keeps monotone claims, and resumes where it stopped."""

import numpy as np
import pytest

from models.catalogue import load_default
from models.encoder import Encoder
from models.optimiser import ServerOptimiser
from models.proposal import propose
from models.weights import flatten
from protocols.errors import InvalidInput

CATALOGUE = load_default()
ENCODER = Encoder(CATALOGUE)
PLAN = propose(CATALOGUE, "c", ["bank-a"], rounds=40)


def gradients(size: int, rounds: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.normal(0, 0.1, size) for _ in range(rounds)]


def test_it_moves_against_the_gradient():
    optimiser = ServerOptimiser(PLAN, ENCODER, None)
    before = flatten(optimiser.weights)
    gradient = np.sign(np.random.default_rng(0).normal(size=optimiser.parameters))
    optimiser.step(gradient, 0.01)
    moved = flatten(optimiser.weights) - before
    free = np.ones(moved.size, bool)
    free[: ENCODER.width] = ENCODER.wide_signs == 0
    assert (np.sign(moved[free]) == -gradient[free]).mean() > 0.99


def test_a_gradient_below_the_noise_moves_little():
    quiet, sure = (ServerOptimiser(PLAN, ENCODER, None) for _ in range(2))
    start = flatten(quiet.weights)
    gradient = np.full(quiet.parameters, 0.01)
    quiet.step(gradient, 1.0)
    sure.step(gradient, 0.0)
    far = np.abs(flatten(sure.weights) - start).max()
    assert np.abs(flatten(quiet.weights) - start).max() < far / 2


def test_wide_weights_keep_the_catalogues_claims():
    optimiser = ServerOptimiser(PLAN, ENCODER, None)
    for gradient in gradients(optimiser.parameters, 10):
        optimiser.step(gradient, 0.1)
        for weights in (optimiser.weights, optimiser.averaged):
            wide = weights["wide.weight"][0]
            assert (wide * ENCODER.wide_signs >= 0).all()
    assert (ENCODER.wide_signs != 0).any()


def test_it_resumes_exactly_where_it_stopped():
    whole = ServerOptimiser(PLAN, ENCODER, None)
    steps = gradients(whole.parameters, PLAN.rounds)
    for gradient in steps:
        whole.step(gradient, 0.1)
    first = ServerOptimiser(PLAN, ENCODER, None)
    for gradient in steps[:25]:
        first.step(gradient, 0.1)
    second = ServerOptimiser.restore(PLAN, ENCODER, first.state())
    assert second.round == 25
    for gradient in steps[25:]:
        second.step(gradient, 0.1)
    assert (flatten(second.averaged) == flatten(whole.averaged)).all()
    assert (flatten(second.weights) == flatten(whole.weights)).all()


def test_the_published_weights_are_the_mean_of_the_later_rounds():
    optimiser = ServerOptimiser(PLAN, ENCODER, None)
    later = []
    for number, gradient in enumerate(gradients(optimiser.parameters, PLAN.rounds), start=1):
        optimiser.step(gradient, 0.1)
        if number > PLAN.optimiser.average_from * PLAN.rounds:
            later.append(flatten(optimiser.weights))
    np.testing.assert_allclose(flatten(optimiser.averaged), np.mean(later, axis=0), atol=1e-6)


@pytest.mark.parametrize("bad", [np.zeros(3), np.full(PLAN.rounds, np.nan)])
def test_a_gradient_of_another_shape_is_refused(bad):
    with pytest.raises(InvalidInput):
        ServerOptimiser(PLAN, ENCODER, None).step(bad, 0.1)


def test_a_gradient_or_noise_that_is_no_number_is_refused():
    optimiser = ServerOptimiser(PLAN, ENCODER, None)
    zero = np.zeros(optimiser.parameters)
    for gradient, noise in ((zero * np.nan, 0.1), (zero, np.nan), (zero, -1.0)):
        with pytest.raises(InvalidInput):
            optimiser.step(gradient, noise)
    assert optimiser.round == 0


def test_a_checkpoint_of_another_architecture_is_refused():
    state = ServerOptimiser(PLAN, ENCODER, None).state()
    state["first"] = state["first"][:-1]
    with pytest.raises(InvalidInput):
        ServerOptimiser.restore(PLAN, ENCODER, state)
    del state["first"]
    with pytest.raises(InvalidInput):
        ServerOptimiser.restore(PLAN, ENCODER, state)
