"""A node's side of training: one differentially private step, and plain training to compare with.

What bounds one subject (one row). Its gradient is clipped to `clip * sqrt(1 - w^2)` and its loss,
capped at `LOSS_CAP` nats, is scaled to at most `clip * w`: together their L2 norm is at most
`clip`. On the integer grid `clip` is `GRID` units; every coordinate is rounded towards zero, which
never lengthens a vector (randomised rounding would: Kairouz, Liu and Steinke 2021, section 4.1).
The norm of the integers themselves is then checked exactly and a row that fails it, as one that is
not finite, adds nothing. So the L2 sensitivity of the sum is `GRID`, exactly, and the noise has
sigma = `noise_multiplier * GRID` in every coordinate.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from torch.nn import functional

from models.encoder import Encoded, Encoder
from models.network import NeuralScorecard
from models.plan import LOSS_CAP, Architecture, CampaignPlan
from models.privacy.noise import GRID, discrete_gaussian, poisson_sample, random_words
from models.weights import Weights, initial_weights, parameter_count

# float32 rounding may lengthen a clipped vector by a few parts in 2^24.
_MARGIN = 1 - 2.0**-20
_CHUNK = 1024


class LocalStep:
    """One DP-SGD step after another at one node, for one plan.

    Args:
        plan: the accepted plan.
        encoder: of the plan's catalogue.
    """

    def __init__(self, plan: CampaignPlan, encoder: Encoder) -> None:
        self._plan = plan
        self._encoder = encoder
        self._network = NeuralScorecard(plan.architecture, encoder.width)
        self._module = GradSampleModule(self._network, loss_reduction="sum")
        self._size = parameter_count(plan.architecture, encoder.width)
        weight = plan.privacy.loss_weight
        self._loss_units = int(GRID * weight)
        self._gradient_units = int(GRID * np.sqrt(1 - weight**2) * _MARGIN)

    def noisy_sum(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        x: Encoded,
        y: NDArray[np.floating | np.integer],
    ) -> NDArray[np.int64]:
        """The noisy clipped sum of a fresh Poisson sample.

        Args:
            weights: the round's weights.
            x: float32[n, width], encoded rows with a live consent, one per subject.
            y: [n], 1 = default.

        Returns:
            int64[P + 1] in grid units (`clip / GRID` each): the gradient, then the loss.
        """
        privacy = self._plan.privacy
        chosen = poisson_sample(len(x), privacy.sampling_rate)
        total = self.clipped_sum(weights, x[chosen], y[chosen])
        return total + discrete_gaussian(privacy.node_noise_multiplier * GRID, self._size + 1)

    def clipped_sum(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        x: Encoded,
        y: NDArray[np.floating | np.integer],
    ) -> NDArray[np.int64]:
        """The sum without noise over exactly these rows; it must not leave the node."""
        _load(self._network, weights)
        rows = drop_blocks(self._encoder, x, self._plan.architecture.block_dropout)
        total = np.zeros(self._size + 1, np.int64)
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            total += self._chunk(rows[part], y[part])
        return total

    def _chunk(self, x: Encoded, y: NDArray[np.floating | np.integer]) -> NDArray[np.int64]:
        gradients, losses = self._per_sample(x, y)
        norms = torch.linalg.vector_norm(gradients, dim=1)
        clip = self._plan.privacy.clip
        # Units per unit of gradient: the scale of the grid, less what clipping takes away.
        scale = self._gradient_units / torch.clamp(norms, min=clip)
        gradients.mul_(scale.unsqueeze(1)).trunc_()
        loss_units = losses.clamp(max=LOSS_CAP).mul(self._loss_units / LOSS_CAP).trunc()
        squared = torch.linalg.vector_norm(gradients, dim=1, dtype=torch.float64) ** 2
        squared += loss_units.double() ** 2
        inside = squared <= float(GRID) ** 2
        gradients[~inside] = 0.0
        loss_units = torch.where(inside, loss_units, 0.0)
        summed = torch.sum(gradients, dim=0, dtype=torch.float64)
        loss = torch.sum(loss_units, dtype=torch.float64).reshape(1)
        return torch.cat([summed, loss]).to(torch.int64).numpy()

    def _per_sample(
        self, x: Encoded, y: NDArray[np.floating | np.integer]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Per-sample gradients float32[n, P] and losses float32[n]."""
        self._module.zero_grad(set_to_none=True)
        labels = torch.from_numpy(np.asarray(y, np.float32))
        # Opacus' backward hooks want an input that takes part in the graph.
        logits = self._module(torch.from_numpy(x).requires_grad_())
        losses = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        torch.autograd.backward(losses.sum())
        parts = [p.grad_sample.reshape(len(x), -1) for p in self._module.parameters()]
        return torch.cat(parts, dim=1), losses.detach()


def drop_blocks(encoder: Encoder, x: Encoded, rate: float) -> Encoded:
    """Each row with every block set to missing with probability `rate`, but never all of them."""
    blocks = len(encoder.blocks)
    if rate == 0 or not len(x):
        return x
    words = random_words(len(x) * blocks).reshape(len(x), blocks)
    absent = words < np.uint64(int(rate * 2.0**64))
    absent[absent.all(axis=1)] = False
    return encoder.drop_blocks(x, absent)


def fit_plain(
    encoder: Encoder,
    architecture: Architecture,
    x: Encoded,
    y: NDArray[np.floating | np.integer],
    *,
    seed: int,
    epochs: int = 30,
    batch: int = 256,
    learning_rate: float = 2e-3,
    weight_decay: float = 1e-3,
) -> Weights:
    """The same network trained without privacy, for comparison only: its result is not released.

    Args:
        encoder: of the catalogue.
        architecture: as in the plan.
        x: float32[n, width].
        y: [n], 1 = default.
        seed: of first weights and order.
        epochs: passes over the rows.
        batch: rows a step.
        learning_rate: of AdamW at the start; it decays to zero.
        weight_decay: of AdamW.

    Returns:
        Weights averaged over the second half of training.
    """
    network = NeuralScorecard(architecture, encoder.width)
    _load(network, initial_weights(architecture, encoder, seed))
    generator = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    average = torch.optim.swa_utils.AveragedModel(network)
    labels = torch.from_numpy(np.asarray(y, np.float32))
    for epoch in range(epochs):
        rows = torch.from_numpy(drop_blocks(encoder, x, architecture.block_dropout))
        for index in np.array_split(generator.permutation(len(x)), max(1, len(x) // batch)):
            chosen = torch.from_numpy(index)
            optimiser.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(
                network(rows[chosen]), labels[chosen]
            )
            torch.autograd.backward(loss)
            optimiser.step()
        schedule.step()
        if epoch >= epochs // 2:
            average.update_parameters(network)
    return {
        name: value.detach().numpy().copy() for name, value in average.module.state_dict().items()
    }


def _load(network: torch.nn.Module, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Copy arrays into a network."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(np.array(weights[name], np.float32)))
