"""The coordinates in which a campaign's gradients are taken: the weights themselves, or a prior's.

The vector that nodes sum has, in this order, the wide part's k directions and its bias, and unless
the hidden part is held: the hidden units' k directions each, their biases, and the output weights.
Without a prior the directions are the encoded columns and the vector is the flat weights.
"""

import numpy as np
from numpy.typing import NDArray

from models.encoder import Encoded, Encoder
from models.plan import Architecture
from models.prior import Prior, installed

Floats = NDArray[np.float64]


class Coordinates:
    """The map between a plan's training vector and its network's weights.

    Args:
        architecture: of the plan.
        encoder: of the plan's catalogue.
        prior: the one that the architecture names; None looks among those installed.

    Attributes:
        prior: as found, or None where the weights are their own coordinates.
        directions: k.
        unit: value of one unit of `rows`.
        deep_scale: of the hidden part.
        size: length of the training vector.

    Raises:
        PriorInvalid: the prior is unknown or for another architecture.
    """

    def __init__(
        self, architecture: Architecture, encoder: Encoder, prior: Prior | None = None
    ) -> None:
        if prior is None or prior.sha256 != architecture.prior:
            prior = installed(architecture.prior) if architecture.prior else None
        self.prior = prior
        self.hidden = architecture.hidden
        self.directions, self.unit, self.deep_scale = encoder.width, 1.0, 1.0
        if prior is not None:
            prior.check(architecture, encoder.width)
            self.directions = prior.matrix.shape[1]
            self.unit, self.deep_scale = prior.unit, prior.deep_scale
            self._float32 = prior.matrix.astype(np.float32)
            self._matrix = prior.matrix * prior.unit
            self._centre = prior.centre * prior.unit
        units = 1 + (self.hidden if self.deep_scale else 0)
        self.size = units * (self.directions + 1) + units - 1

    def rows(self, x: Encoded) -> Floats:
        """Integers float64[n, k] of rows of zeros and ones, in units of `unit`.

        Entries are bounded so that every partial sum is an integer below 2^24: exact in float32.
        """
        if self.prior is None:
            return x.astype(np.float64)
        rows = (x @ self._float32).astype(np.float64)
        rows -= self.prior.centre
        return rows

    def to_weights(self, vector: Floats) -> Floats:
        """The change of the flat weights that a change of the training vector makes."""
        if self.prior is None:
            return vector
        k, hidden = self.directions, self.hidden
        wide, bias, deep = vector[:k], vector[k], vector[k + 1 :]
        parts: list[Floats] = [self._matrix @ wide, np.atleast_1d(bias - self._centre @ wide)]
        if deep.size:
            units = deep[: hidden * k].reshape(hidden, k)
            biases = deep[hidden * k : hidden * (k + 1)] - units @ self._centre
            rest = [(units @ self._matrix.T).ravel(), biases, deep[hidden * (k + 1) :]]
            parts += [part * self.deep_scale for part in rest]
        else:
            parts.append(np.zeros(hidden * (self._matrix.shape[0] + 2)))
        return np.concatenate(parts)
