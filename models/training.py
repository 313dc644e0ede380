"""The same network trained without privacy, to compare with: torch on rows in one place."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.encoder import Encoded, Encoder
from models.local_step import drop_blocks
from models.network import NeuralScorecard
from models.plan import Architecture
from models.weights import Weights, initial_weights


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
