"""Probabilities to points and bands.

points = base_points + (pdo / ln 2) * ln(odds / base_odds), odds = (1 - pd) / pd, clipped to
[low, high] (Siddiqi 2017, chapter 10). With 660 points at 15:1 and 50 points to double the odds the
ends of 300..850 lie at PD 91 % and 0.5 %, so that a portfolio with a tenth or a fifth of defaults
uses most of the range.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fields import Fields
from protocols.errors import InvalidInput

# Lowest points of each band; the last one takes the rest.
BAND_FLOORS = (
    ("A", 740), ("B", 700), ("C", 660), ("D", 620), ("E", 580), ("F", 540), ("G", 500), ("H", 300),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """A points scale.

    Attributes:
        low, high: ends of the scale.
        base_points: points at `base_odds` (good : bad).
        base_odds: good : bad at `base_points`.
        pdo: points that double the odds.
    """

    low: int = 300
    high: int = 850
    base_points: float = 660.0
    base_odds: float = 15.0
    pdo: float = 50.0

    @property
    def factor(self) -> float:
        """Points per unit of log-odds."""
        return self.pdo / math.log(2)

    def unclipped(self, logit: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points before clipping, from calibrated log-odds of default."""
        return self.base_points - self.factor * (logit + math.log(self.base_odds))

    def points(self, logit: NDArray[np.float64]) -> NDArray[np.int64]:
        """Whole points, int64[n], from calibrated log-odds of default float64[n]."""
        return np.rint(np.clip(self.unclipped(logit), self.low, self.high)).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: object) -> "Scale":
        """Read within limits."""
        fields = Fields(body, "scale", InvalidInput)
        scale = cls(
            low=fields.integer("low", 0, 10_000),
            high=fields.integer("high", 1, 10_000),
            base_points=fields.number("base_points", 0, 10_000),
            base_odds=fields.number("base_odds", 0, 1e6, above=True),
            pdo=fields.number("pdo", 0, 1_000, above=True),
        )
        fields.done()
        if scale.low >= scale.high:
            raise InvalidInput("scale: low must lie below high")
        return scale


@dataclass(frozen=True)
class Band:
    """A score band.

    Attributes:
        name: letter, best first.
        floor: lowest points in it.
        pd: probability of default of the band as a whole.
        share: share of the training population in it, differentially private.
    """

    name: str
    floor: int
    pd: float
    share: float

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: object) -> "Band":
        """Read within limits."""
        fields = Fields(body, "band", InvalidInput)
        band = cls(
            name=fields.text("name", 8),
            floor=fields.integer("floor", 0, 10_000),
            pd=fields.number("pd", 0, 1),
            share=fields.number("share", 0, 1),
        )
        fields.done()
        return band


def band_index(points: NDArray[np.int64], floors: Sequence[int]) -> NDArray[np.int64]:
    """Index of each score's band; floors descend and the last band takes whatever is below.

    Args:
        points: int64[n].
        floors: lowest points per band, best first.
    """
    above = np.asarray(points)[:, None] >= np.asarray(floors)[None, :]
    above[:, -1] = True
    return np.asarray(np.argmax(above, axis=1))
