"""A node's side of training: one differentially private step, in exact integers, without torch.

What bounds one subject (one row). Its gradient is clipped to `clip * sqrt(1 - w^2)` and its loss,
capped at `LOSS_CAP` nats, is scaled to at most `clip * w`: together their L2 norm is at most
`clip`, which is `GRID` units of the integer grid.

The factor that clips a row does not look at its label: it is that of the longer of the two
gradients the row could have. Clipping by the gradient it does have would shorten those of people
who defaulted against the odds and leave their peers who paid as they are; the mean gradient would
then vanish at other weights than the best ones. On three synthetic worlds, without any noise, a
clip of 1 so cost .003 to .010 AUC and set the mean PD .05 to .12 too low; blind to the label, at
most .0005 and .003.

How the bound holds exactly, and cheaply. A layer's gradient of one row is an outer product: of what
is propagated back, c, and of what the layer read (Goodfellow 2015, arXiv 1510.01799). What is read
here is a row z of integers: the encoded zeros and ones, which is checked, or a prior's integer map
of them (`models/coordinates.py`). So a row's gradient is

    wide c_w z, its bias c_w, hidden c_j z, its bias c_j, output o_j

with c_w = d, c_j = d out_j (1 - t_j^2), o_j = d t_j for t = tanh(hidden(x)) and d = p - y, and its
squared norm is (|z|^2 + 1) |c|^2 + |o|^2: the gradients of single rows are never laid out. The few
numbers c and o, clipped and scaled, are rounded towards zero, which never lengthens a vector
(randomised rounding would: Kairouz, Liu and Steinke 2021, section 4.1). Then

1. a row's contribution is a vector of integers; its norm is checked in integers, and a row that
   fails, as one that is not of zeros and ones, adds nothing;
2. the sum over rows is a product of integer matrices, computed in float64 where every partial sum
   is an integer below 2^53: it is exact in whatever order it is taken. There is no rounding of the
   sum, and nothing to add to the sensitivity for it;
3. a row's contribution depends on that row and the weights alone, on no other row. That is not so
   for floating-point layers: a BLAS may sum a row in another order when there is one row more, and
   a last bit of every row's gradient may change with it. Here the products of the forward pass
   (weights and activations in fixed point) are exact integers too, and everything else is +, -, *,
   / and square root, which IEEE 754 rounds alike wherever a row stands.

So the L2 sensitivity of the sum is `GRID`, exactly, for adding or removing one row, and the noise
has sigma = `node_noise_multiplier * GRID` in every coordinate.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.coordinates import Coordinates
from models.encoder import Encoded, Encoder
from models.plan import LOSS_CAP, CampaignPlan
from models.prior import Prior
from models.privacy.noise import GRID, discrete_gaussian, poisson_sample
from protocols.errors import InvalidInput
from protocols.random_words import random_words

# The norm is estimated to about 2^-22 before the exact check; what is lost is less than that noise.
_MARGIN = 1 - 2.0**-18
_CHUNK = 2048
_ACTIVATION = 2.0**24

Floats = NDArray[np.float64]
Labels = NDArray[np.floating | np.integer]


class LocalStep:
    """One DP-SGD step after another at one node, for one plan.

    Args:
        plan: the accepted plan.
        encoder: of the plan's catalogue.
        prior: the one the plan names, where it is not an installed one.

    Raises:
        PriorInvalid: the plan names a prior that is not here.
    """

    def __init__(self, plan: CampaignPlan, encoder: Encoder, prior: Prior | None = None) -> None:
        self._plan = plan
        self._encoder = encoder
        self._coordinates = Coordinates(plan.architecture, encoder, prior)
        weight = plan.privacy.loss_weight
        self._loss_units = float(int(GRID * weight))
        self._gradient_units = float(int(GRID * np.sqrt(1 - weight**2) * _MARGIN))

    def noisy_sum(
        self, weights: Mapping[str, NDArray[np.float32]], x: Encoded, y: Labels
    ) -> NDArray[np.int64]:
        """The noisy clipped sum of a fresh Poisson sample.

        Args:
            weights: the round's weights.
            x: float32[n, width], encoded rows with a live consent, one per subject.
            y: [n], 1 = default.

        Returns:
            int64[P + 1] in grid units (`clip / GRID` each): the gradient in the plan's coordinates,
            then the loss.
        """
        privacy = self._plan.privacy
        chosen = poisson_sample(len(x), privacy.sampling_rate)
        total = self._sum(weights, x, y, chosen)
        return total + discrete_gaussian(privacy.node_noise_multiplier * GRID, len(total))

    def clipped_sum(
        self, weights: Mapping[str, NDArray[np.float32]], x: Encoded, y: Labels
    ) -> NDArray[np.int64]:
        """The sum without noise over exactly these rows; it must not leave the node."""
        return self._sum(weights, x, y, np.arange(len(x)))

    def _sum(
        self,
        weights: Mapping[str, NDArray[np.float32]],
        x: Encoded,
        y: Labels,
        chosen: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        network = _Fixed.of(weights)
        rate = self._plan.architecture.block_dropout
        total = np.zeros(self._coordinates.size + 1, np.int64)
        for start in range(0, len(chosen), _CHUNK):
            index = chosen[start : start + _CHUNK]
            rows = drop_blocks(self._encoder, x.take(index, axis=0), rate)
            total += self._chunk(network, rows, np.asarray(y).take(index))
        return total

    def _chunk(self, network: "_Fixed", rows: Encoded, y: Labels) -> NDArray[np.int64]:
        # 1. Rows of zeros and ones only.
        proper = _proper(rows, y)
        if not proper.all():
            rows, y = np.where(proper[:, None], rows, 0), np.where(proper, y, 0)
        x, unit, deep = rows.astype(np.float64), self._coordinates.unit, self._deep
        z = x if self._coordinates.prior is None else self._coordinates.rows(rows)
        squares = np.einsum("ij,ij->i", z, z)
        lit = squares * unit**2 + 1
        activation, logit = network.forward(x)
        squared = activation * activation
        chance = 0.5 + 0.5 * _tanh(0.5 * logit)
        error, worst = chance - y, np.maximum(chance, 1 - chance)
        slope = 1 - squared
        # The norm over |error|: (|z|^2 + 1) (1 + sum (out slope)^2) + |t|^2, squared.
        length = lit * (1 + deep**2 * network.weigh(slope * slope))
        length += deep**2 * network.activity(squared)
        norm = worst * np.sqrt(length)
        # Units per unit of gradient: the scale of the grid, less what clipping takes away.
        scale = error * (self._gradient_units / np.maximum(norm, self._plan.privacy.clip))
        back, out = np.ones((1, len(z))), np.empty((0, len(z)))
        if deep:
            back = np.concatenate([back, slope * (network.out * deep)])
            out = np.trunc(activation * (scale * deep))
        biases, back = np.trunc(back * scale), np.trunc(back * (scale * unit))
        right = np.where(y == 1, chance, 1 - chance)
        loss = np.trunc(_capped_loss(right) * (self._loss_units / LOSS_CAP))
        # The integers' own norm; nothing below 2^53 is rounded, and what is above is too long.
        exact = squares * np.einsum("ij,ij->j", back, back) + loss * loss
        exact += np.einsum("ij,ij->j", biases, biases) + np.einsum("ij,ij->j", out, out)
        kept = proper & (exact <= float(GRID) ** 2)
        if not kept.all():
            back, biases, out = (np.where(kept, part, 0.0) for part in (back, biases, out))
            loss = np.where(kept, loss, 0.0)
        # 2. Exact products and sums of integers.
        product, bias = back @ z, biases.sum(axis=1)
        total = [
            product[0], bias[:1], product[1:].ravel(), bias[1:], out.sum(axis=1), [loss.sum()],
        ]  # fmt: skip
        return np.concatenate(total).astype(np.int64)

    @property
    def _deep(self) -> float:
        return self._coordinates.deep_scale


@dataclass(frozen=True)
class _Fixed:
    """The network in fixed point: products with it are exact sums of integers.

    Attributes:
        layers: float64[hidden + 1, width] of integers, the hidden layer's rows and the wide one.
        units: float64[hidden + 1, 1], value of one unit in each row.
        bias: float64[hidden + 1, 1].
        out: float64[hidden, 1], as it is.
        outs: float64[2, hidden] of integers: out and its square.
        out_units: their values, and that of a unit of activation with them.
    """

    layers: Floats
    units: Floats
    bias: Floats
    out: Floats
    outs: Floats
    out_units: Floats

    @classmethod
    def of(cls, weights: Mapping[str, NDArray[np.float32]]) -> "_Fixed":
        """Convert.

        Raises:
            InvalidInput: a weight is not finite.
        """
        if not all(np.isfinite(value).all() for value in weights.values()):
            raise InvalidInput("a weight is not finite")
        stacked = np.concatenate([weights["hidden.weight"], weights["wide.weight"]])
        layers, units = _integers(stacked, 1.0)
        out = weights["out.weight"].astype(np.float64)
        outs, out_units = _integers(np.concatenate([out, out * out]), _ACTIVATION)
        bias = np.concatenate([weights["hidden.bias"], weights["wide.bias"]]).astype(np.float64)
        return cls(layers, units[:, None], bias[:, None], out.T, outs, out_units / _ACTIVATION)

    def forward(self, x: Floats) -> tuple[Floats, Floats]:
        """Activations float64[hidden, n] and log-odds float64[n]."""
        sums = self.layers @ x.T
        sums *= self.units
        sums += self.bias
        activation = _tanh(sums[:-1])
        deep = self.outs[0] @ np.rint(activation * _ACTIVATION)
        return activation, sums[-1] + deep * self.out_units[0]

    def activity(self, squared: Floats) -> Floats:
        """sum_j t_j^2, float64[n], from t^2."""
        return np.asarray(np.rint(squared * _ACTIVATION).sum(axis=0) / _ACTIVATION)

    def weigh(self, factors: Floats) -> Floats:
        """sum_j out_j^2 factors_j, float64[n], for factors float64[hidden, n] in [0, 1]."""
        return np.asarray((self.outs[1] @ np.rint(factors * _ACTIVATION)) * self.out_units[1])


def _integers(rows: NDArray[np.floating], other: float) -> tuple[Floats, Floats]:
    """Rows in units so small, and no smaller, that a product with `other` sums exactly.

    Returns:
        float64 of integers in the shape of `rows`, and the unit of each row, a power of two.
    """
    largest = np.maximum(np.abs(rows.astype(np.float64)).max(axis=1), 2.0**-100)
    room = 2.0**51 / (other * rows.shape[1] * largest)
    units = 2.0 ** -np.floor(np.log2(room))
    return np.rint(rows / units[:, None]), units


def _proper(rows: Encoded, y: Labels) -> NDArray[np.bool_]:
    """Which rows are of zeros and ones, bool[n]."""
    ones = (rows == 0) | (rows == 1)
    whole = (y == 0) | (y == 1)
    return np.asarray(whole if ones.all() else whole & ones.all(axis=1))


def _tanh(x: Floats) -> Floats:
    """Tanh to 1e-7 by basic operations: a continued fraction at x / 8, doubled three times."""
    a = np.clip(x, -10.0, 10.0) * 0.125
    b = a * a
    t = a * (945 + b * (105 + b)) / (945 + b * (420 + 15 * b))
    for _ in range(3):
        t = (t + t) / (1 + t * t)
    return np.asarray(t)


def _capped_loss(right: Floats) -> Floats:
    """-ln(right), at most `LOSS_CAP`, to 1e-5 by basic operations.

    -ln p = -4 ln q for q = p^(1/4), and -ln q = 2 artanh((1 - q) / (1 + q)).
    """
    q = np.sqrt(np.sqrt(np.maximum(right, 1e-3)))
    s = (1 - q) / (1 + q)
    b = s * s
    series = s * (1 + b * (1 / 3 + b * (1 / 5 + b * (1 / 7 + b * (1 / 9 + b / 11)))))
    return np.asarray(np.minimum(8 * series, LOSS_CAP))


def drop_blocks(encoder: Encoder, x: Encoded, rate: float) -> Encoded:
    """Each row with every block set to missing with probability `rate`, but never all of them."""
    blocks = len(encoder.blocks)
    if rate == 0 or not len(x):
        return x
    words = random_words(len(x) * blocks).reshape(len(x), blocks)
    absent = words < np.uint64(int(rate * 2.0**64))
    absent[absent.all(axis=1)] = False
    return encoder.drop_blocks(x, absent)
