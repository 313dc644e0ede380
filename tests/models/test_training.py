"""One row moves a step's sum by at most the grid's unit, whatever the row and the weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus import GradSampleModule

from models.catalogue import load_default
from models.encoder import Encoder
from models.local_step import LocalStep, drop_blocks
from models.network import NeuralScorecard
from models.plan import LOSS_CAP, Architecture, CampaignPlan
from models.privacy.noise import GRID
from models.proposal import propose
from models.weights import flatten, initial_weights, logit, parameter_count, unflatten
from protocols.errors import InvalidInput

CATALOGUE = load_default()
ENCODER = Encoder(CATALOGUE)
BASE = propose(CATALOGUE, "c", ["bank-a"], rounds=10)
WIDTH = ENCODER.width


def plan(*, dropout: float = 0.0, clip: float = 8.0) -> CampaignPlan:
    return replace(
        BASE,
        architecture=replace(BASE.architecture, block_dropout=dropout),
        privacy=replace(BASE.privacy, clip=clip),
    )


def rows(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = (rng.random((count, WIDTH)) < 0.3).astype(np.float32)
    return x, rng.integers(0, 2, count)


def weights_of(seed: int, size: float) -> dict[str, np.ndarray]:
    count = parameter_count(BASE.architecture, WIDTH)
    flat = np.random.default_rng(seed).normal(0, size, count)
    return unflatten(flat, BASE.architecture, WIDTH)


def length(vector: np.ndarray) -> int:
    """Squared L2 norm in exact integers."""
    return sum(int(value) ** 2 for value in vector)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0.0, 1e-6, 0.1, 3.0, 1e4, 1e18]),
    clip=st.sampled_from([1e-6, 0.5, 8.0, 1000.0]),
)
def test_adding_one_row_moves_the_sum_by_at_most_the_sensitivity(seed, size, clip):
    x, y = rows(seed, 6)
    step, weights = LocalStep(plan(clip=clip), ENCODER), weights_of(seed, size)
    with_all = step.clipped_sum(weights, x, y)
    without = step.clipped_sum(weights, x[:-1], y[:-1])
    assert length(with_all - without) <= GRID**2


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e30, -1e38])
def test_a_poisoned_row_stays_inside_the_sensitivity(poison):
    x, y = rows(1, 4)
    step, weights = LocalStep(plan(), ENCODER), weights_of(1, 0.1)
    clean = step.clipped_sum(weights, x[:-1], y[:-1])
    x[-1] = poison
    assert length(step.clipped_sum(weights, x, y) - clean) <= GRID**2


def test_a_clipped_row_uses_nearly_the_whole_bound():
    x, y = rows(2, 1)
    y[:] = 1
    weights = weights_of(2, 0.0)
    weights["wide.bias"][:] = -20.0
    total = LocalStep(plan(clip=1.0), ENCODER).clipped_sum(weights, x, y)
    assert 0.999 * GRID**2 < length(total) <= GRID**2


def test_an_unclipped_sum_is_the_gradient():
    x, y = rows(3, 40)
    weights = weights_of(3, 0.05)
    total = LocalStep(plan(clip=1000.0), ENCODER).clipped_sum(weights, x, y)
    network = NeuralScorecard(BASE.architecture, WIDTH)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        network(torch.from_numpy(x)), torch.from_numpy(y.astype(np.float32)), reduction="none"
    )
    torch.autograd.backward(losses.sum())
    expected = flatten({k: p.grad.numpy() for k, p in network.named_parameters()})
    share = np.sqrt(1 - BASE.privacy.loss_weight**2)
    seen = total[:-1] / (GRID * share / 1000.0)
    np.testing.assert_allclose(seen, expected, atol=2e-2)
    loss = total[-1] * LOSS_CAP / (GRID * BASE.privacy.loss_weight)
    assert loss == pytest.approx(losses.detach().clamp(max=LOSS_CAP).sum().item(), rel=1e-4)


def test_a_row_counts_the_same_alone_and_in_any_crowd():
    """Bit for bit: one row more changes no other row's part, whatever the batch and the order."""
    x, y = rows(4, 2500)
    step, weights = LocalStep(plan(clip=2.0), ENCODER), weights_of(4, 0.1)
    whole = step.clipped_sum(weights, x, y)
    order = np.random.default_rng(0).permutation(len(x))
    assert (whole == step.clipped_sum(weights, x[order], y[order])).all()
    parts = [slice(0, 1), slice(1, 700), slice(700, 703), slice(703, 2500)]
    assert (whole == sum(step.clipped_sum(weights, x[part], y[part]) for part in parts)).all()
    alone = [step.clipped_sum(weights, x[[row]], y[[row]]) for row in range(40)]
    assert (sum(alone) == step.clipped_sum(weights, x[:40], y[:40])).all()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0.01, 1.0, 100.0]),
    lit=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    crowd=st.sampled_from([1, 7, 300, 2047, 2048]),
)
def test_an_adversarial_row_moves_a_crowd_by_exactly_its_own_part(seed, size, lit, crowd):
    """The sensitivity is of the sum as it is released, rounding and order of summation included."""
    x, y = rows(seed, crowd)
    step, weights = LocalStep(plan(clip=0.3), ENCODER), weights_of(seed, size)
    row = (np.random.default_rng(seed).random((1, WIDTH)) < lit).astype(np.float32)
    label = np.array([seed % 2])
    moved = step.clipped_sum(weights, np.concatenate([x, row]), np.append(y, label))
    moved -= step.clipped_sum(weights, x, y)
    assert (moved == step.clipped_sum(weights, row, label)).all()
    assert length(moved) <= GRID**2


@pytest.mark.parametrize("hidden", [1, 16, 256])
def test_the_sum_is_that_of_clipped_gradients_of_single_rows(hidden):
    """Opacus lays the gradients of single rows out; clipping them by hand gives the same sum.

    A row is clipped by the longer of the gradients it could have: with its label, and the other.
    """
    chosen = replace(plan(clip=0.5), architecture=Architecture(hidden=hidden, block_dropout=0.0))
    x, y = rows(8, 300)
    count = parameter_count(chosen.architecture, WIDTH)
    flat = np.random.default_rng(8).normal(0, 0.1, count)
    weights = unflatten(flat, chosen.architecture, WIDTH)
    network = NeuralScorecard(chosen.architecture, WIDTH)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    module = GradSampleModule(network, loss_reduction="sum")
    logits = module(torch.from_numpy(x).requires_grad_())
    labels = torch.from_numpy(y.astype(np.float32))
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    torch.autograd.backward(losses.sum())
    single = torch.cat([p.grad_sample.reshape(len(x), -1) for p in module.parameters()], dim=1)
    chance = torch.sigmoid(logits.detach())
    longer = torch.maximum(chance, 1 - chance) / (chance - labels).abs()
    norms = (single.norm(dim=1) * longer).unsqueeze(1)
    assert (norms > 0.5).any()
    expected = (single * torch.clamp(0.5 / norms, max=1.0)).sum(dim=0).numpy()
    total = LocalStep(chosen, ENCODER).clipped_sum(weights, x, y)
    share = np.sqrt(1 - BASE.privacy.loss_weight**2)
    np.testing.assert_allclose(total[:-1] / (GRID * share / 0.5), expected, atol=2e-3)


def test_what_a_row_is_shortened_by_does_not_look_at_its_label():
    """So clipping moves no mean gradient away from zero at the true probabilities."""
    x, _ = rows(10, 1)
    weights = weights_of(10, 0.1)
    step = LocalStep(plan(clip=0.5), ENCODER)
    bad, good = (step.clipped_sum(weights, x, np.array([label]))[:-1] for label in (1, 0))
    chance = 1 / (1 + np.exp(-logit(weights, x)[0]))
    np.testing.assert_allclose(chance * bad, -(1 - chance) * good, atol=1e-5 * GRID)


def test_weights_that_are_no_numbers_are_refused():
    x, y = rows(9, 3)
    weights = weights_of(9, 0.1)
    weights["out.weight"][0, 0] = np.nan
    with pytest.raises(InvalidInput):
        LocalStep(plan(), ENCODER).clipped_sum(weights, x, y)


def test_a_label_that_is_neither_adds_nothing():
    x, y = rows(9, 2)
    step, weights = LocalStep(plan(), ENCODER), weights_of(9, 0.1)
    alone = step.clipped_sum(weights, x[:1], y[:1])
    for label in (0.5, 2.0, np.nan, np.inf):
        assert (step.clipped_sum(weights, x, np.array([y[0], label])) == alone).all()


def test_no_rows_give_pure_noise_of_the_planned_width():
    step, weights = LocalStep(plan(), ENCODER), weights_of(5, 0.1)
    x, y = rows(5, 0)
    update = step.noisy_sum(weights, x, y)
    sigma = BASE.privacy.noise_multiplier * GRID
    assert update.dtype == np.int64
    assert update.shape == (parameter_count(BASE.architecture, WIDTH) + 1,)
    assert abs(update.std() / sigma - 1) < 6 / np.sqrt(2 * update.size)


def test_two_steps_on_the_same_rows_differ():
    step, weights = LocalStep(plan(), ENCODER), weights_of(6, 0.1)
    x, y = rows(6, 50)
    assert (step.noisy_sum(weights, x, y) != step.noisy_sum(weights, x, y)).mean() > 0.99


def test_dropped_blocks_are_all_missing_and_never_all_blocks(encoder, people):
    x = encoder.encode(people.status, people.value)
    dropped = drop_blocks(encoder, x, 0.5)
    changed = [(dropped[:, c] != x[:, c]).any(axis=1) for c in encoder.blocks.values()]
    missing = np.array([place.missing for place in encoder.columns])
    bank = encoder.blocks["bank"]
    flags = np.isin(bank, missing)
    gone = dropped[changed[0]][:, bank]
    partly = (gone[:, flags] == 1).sum(axis=1)
    # Either the bank answered (its derived signal may be gone with payments) or all of it is away.
    assert set(partly.tolist()) <= {1, int(flags.sum())}
    assert not (dropped[:, missing] == 1).all(axis=1).any()
    assert 0.3 < (dropped[:, missing[0]] == 1).mean() < 0.5


def test_torch_and_numpy_compute_the_same_log_odds():
    x, _ = rows(7, 64)
    weights = weights_of(7, 0.3)
    network = NeuralScorecard(BASE.architecture, WIDTH)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()})
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logit(weights, x), expected, rtol=1e-4, atol=1e-4)


def test_weights_survive_flattening_and_first_weights_follow_the_seed():
    first = initial_weights(Architecture(), ENCODER, 3)
    again = unflatten(flatten(first), Architecture(), WIDTH)
    assert all((first[name] == again[name]).all() for name in first)
    assert list(first) == [
        name for name, _ in NeuralScorecard(Architecture(), WIDTH).named_parameters()
    ]
    other = initial_weights(Architecture(), ENCODER, 4)
    assert (other["hidden.weight"] != first["hidden.weight"]).any()
