"""The network's weights as arrays: names, shapes, first values, flat form, and its forward pass.

NumPy only: the coordinator and the serving side hold no torch. `models/network.py` is the same
function in torch; a test holds the two equal.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.encoder import Encoded, Encoder
from models.plan import Architecture
from protocols.errors import InvalidInput

Weights = dict[str, NDArray[np.float32]]


def shapes(architecture: Architecture, width: int) -> dict[str, tuple[int, ...]]:
    """Tensor shapes by name, in flat order."""
    return {
        "wide.weight": (1, width),
        "wide.bias": (1,),
        "hidden.weight": (architecture.hidden, width),
        "hidden.bias": (architecture.hidden,),
        "out.weight": (1, architecture.hidden),
    }


def parameter_count(architecture: Architecture, width: int) -> int:
    """P, the length of the flat weights."""
    return sum(int(np.prod(shape)) for shape in shapes(architecture, width).values())


def initial_weights(architecture: Architecture, encoder: Encoder, seed: int) -> Weights:
    """First weights: a zero wide part and small random hidden weights.

    The seed is public and in the plan's campaign, so that every party can recompute them.
    """
    generator = np.random.default_rng(seed)
    weights = {
        name: np.zeros(shape, np.float32)
        for name, shape in shapes(architecture, encoder.width).items()
    }
    # About a third of the columns is lit, so this gives pre-activations near 1.
    hidden_scale = 1.0 / np.sqrt(encoder.width / 3)
    weights["hidden.weight"] = generator.normal(
        0.0, hidden_scale, weights["hidden.weight"].shape
    ).astype(np.float32)
    out_scale = 0.2 / np.sqrt(architecture.hidden)
    weights["out.weight"] = generator.normal(0.0, out_scale, weights["out.weight"].shape).astype(
        np.float32
    )
    return weights


def flatten(weights: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """All weights as one float64[P], in the order of `shapes`."""
    names = ("wide.weight", "wide.bias", "hidden.weight", "hidden.bias", "out.weight")
    return np.concatenate([np.asarray(weights[name], np.float64).ravel() for name in names])


def unflatten(flat: NDArray[np.float64], architecture: Architecture, width: int) -> Weights:
    """The inverse of `flatten`.

    Raises:
        InvalidInput: the length is not that of the architecture, or a weight is not finite.
    """
    expected = parameter_count(architecture, width)
    if flat.shape != (expected,):
        raise InvalidInput(f"expected {expected} weights, got shape {flat.shape}")
    if not np.isfinite(flat).all():
        raise InvalidInput("a weight is not finite")
    weights: Weights = {}
    start = 0
    for name, shape in shapes(architecture, width).items():
        size = int(np.prod(shape))
        weights[name] = flat[start : start + size].reshape(shape).astype(np.float32)
        start += size
    return weights


def logit(weights: Mapping[str, NDArray[np.float32]], encoded: Encoded) -> NDArray[np.float64]:
    """Raw log-odds of default before calibration, float64[n] from float32[n, width]."""
    hidden = np.tanh(encoded @ weights["hidden.weight"].T + weights["hidden.bias"])
    total = encoded @ weights["wide.weight"][0] + hidden @ weights["out.weight"][0]
    return np.asarray(total, np.float64) + float(weights["wide.bias"][0])
