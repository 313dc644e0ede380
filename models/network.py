"""The neural scorecard in torch: a wide linear part and a small tanh part, one log-odds out."""

import torch
from torch import nn

from models.plan import Architecture


class NeuralScorecard(nn.Module):
    """`logit(x) = wide(x) + out(tanh(hidden(x)))`; tensor names are those of models/weights.py.

    Args:
        architecture: number of hidden units.
        width: encoded columns.
    """

    def __init__(self, architecture: Architecture, width: int) -> None:
        super().__init__()
        self.wide = nn.Linear(width, 1)
        self.hidden = nn.Linear(width, architecture.hidden)
        self.out = nn.Linear(architecture.hidden, 1, bias=False)

    def forward(self, encoded: torch.Tensor) -> torch.Tensor:
        """Log-odds of default: float32[n] from float32[n, width]."""
        deep = self.out(torch.tanh(self.hidden(encoded)))
        total: torch.Tensor = self.wide(encoded) + deep
        return total.squeeze(-1)
