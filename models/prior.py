"""What is known before any record is seen: first weights and the directions in which to learn.

A prior is public. It is made from synthetic borrowers, an expert's scorecard or whatever else costs
nobody's privacy, for one catalogue and one architecture. It says where training starts, and it maps
an encoded row x of zeros and ones to k coordinates

    z = (matrix^T x - centre) * unit

in which training then moves: the wide part by matrix u, the hidden part by `deep_scale` matrix U.
Noise is added to k + 1 numbers instead of one for each bin edge, and in directions in which scores
have been seen to differ; the weights that are published and served are those of the same network
on the same encoded rows. Everything in the map is an integer, so that a row's part of a sum stays
one (see models/local_step.py).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from models.plan import Architecture
from models.weights import Weights, shapes
from protocols.canonical import sha256
from protocols.errors import InvalidInput

MAX_BYTES = 16 * 1024 * 1024
MAX_ENTRY = 2**11
_START = "start."


class PriorInvalid(InvalidInput):
    """A prior is malformed, unknown here, or for another catalogue or architecture."""

    code = "prior_invalid"
    next_step = "Use a prior that every node has installed, or a plan without one."


@dataclass(frozen=True)
class Prior:
    """Where training starts and in which directions it moves.

    Attributes:
        matrix: int16[width, k], entries up to `MAX_ENTRY` in size.
        centre: int32[k].
        unit: value of one unit of z, a power of two.
        curvature: mean second derivative of the clipped loss along a direction, for clip 1: what
            divides a gradient to make a Newton step.
        deep_scale: how far the hidden part moves where the wide part moves by one; 0 holds it.
        start: first weights of the network.
    """

    matrix: NDArray[np.int16]
    centre: NDArray[np.int32]
    unit: float
    curvature: float
    deep_scale: float
    start: Weights

    def __post_init__(self) -> None:
        width, directions = self.matrix.shape
        if self.centre.shape != (directions,) or not 1 <= directions <= width:
            raise PriorInvalid("a prior's matrix and centre do not fit")
        if int(np.abs(self.matrix.astype(np.int64)).max()) > MAX_ENTRY or width * MAX_ENTRY > 2**23:
            raise PriorInvalid("a prior's matrix does not multiply exactly")
        if not 2.0**-16 <= self.unit <= 1 or np.log2(self.unit) % 1:
            raise PriorInvalid("a prior's unit is a power of two from 2^-16 to 1")
        if not (0 < self.curvature < 1e3 and 0 <= self.deep_scale <= 1):
            raise PriorInvalid("a prior's curvature or deep scale is out of range")
        if not all(np.isfinite(value).all() for value in self.start.values()):
            raise PriorInvalid("a prior's first weights are not finite")

    def check(self, architecture: Architecture, width: int) -> None:
        """Refuse a plan this prior is not for.

        Raises:
            PriorInvalid: another width, or first weights of another shape.
        """
        expected = shapes(architecture, width)
        found = {name: value.shape for name, value in self.start.items()}
        if self.matrix.shape[0] != width or found != expected:
            raise PriorInvalid("the prior is for another catalogue or architecture")

    def to_bytes(self) -> bytes:
        """The file."""
        numbers = np.array([self.unit, self.curvature, self.deep_scale], np.float64)
        tensors = {"matrix": self.matrix, "centre": self.centre, "numbers": numbers}
        tensors |= {_START + name: value for name, value in self.start.items()}
        whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        return bytes(save_tensors(whole))

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the file, which a plan names."""
        return sha256(self.to_bytes()).hex()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Prior":
        """Read a file.

        Raises:
            PriorInvalid: it is malformed or outside the limits.
        """
        if len(data) > MAX_BYTES:
            raise PriorInvalid("a prior of that size is not read")
        try:
            tensors = load_tensors(data)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise PriorInvalid("a prior is a safetensors file") from error
        types = {"matrix": (np.int16, 2), "centre": (np.int32, 1), "numbers": (np.float64, 1)}
        for name, (dtype, dimensions) in types.items():
            if name not in tensors or tensors[name].dtype != dtype:
                raise PriorInvalid(f"a prior's {name} is missing or of another type")
            if tensors[name].ndim != dimensions or not tensors[name].size:
                raise PriorInvalid(f"a prior's {name} has another shape")
        if tensors["numbers"].shape != (3,):
            raise PriorInvalid("a prior's numbers have another shape")
        start = {
            name.removeprefix(_START): value
            for name, value in tensors.items()
            if name.startswith(_START)
        }
        if any(value.dtype != np.float32 for value in start.values()):
            raise PriorInvalid("a prior's first weights are float32")
        unit, curvature, deep_scale = (float(value) for value in tensors["numbers"])
        return cls(tensors["matrix"], tensors["centre"], unit, curvature, deep_scale, start)

    @classmethod
    def read(cls, path: Path) -> "Prior":
        """Read a file by its path; see `from_bytes`."""
        return cls.from_bytes(path.read_bytes())


def installed(digest: str) -> Prior:
    """The prior of that hash among those installed beside this file, `*.prior.safetensors`.

    Raises:
        PriorInvalid: there is none.
    """
    for path in sorted(Path(__file__).parent.glob("*.prior.safetensors")):
        prior = Prior.read(path)
        if prior.sha256 == digest:
            return prior
    raise PriorInvalid("no prior of that hash is installed here")
