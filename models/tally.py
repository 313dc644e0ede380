"""Counts of people in several tables at once, released as one vector with noise.

A table is a block: a named array of cells. A person adds at most one unit to each block it is in,
and blocks may be of one kind of people only, so that nobody is in blocks of two kinds. A unit is
the block's `weight`, in a common measure, so that one block may be seen more sharply than another
through the same noise. So the flat vector moves by at most

    sensitivity = max over kinds of sqrt(sum of weight^2 over the blocks of that kind or of all)

in L2 when a person is added or removed: sqrt(number of blocks) where no block says more of itself.
The noise is a discrete Gaussian of `noise_multiplier * sensitivity`, on the grid that everything
else is released on (`models/privacy/noise.py`); the price is `tally_charge` of
`models/privacy/charge.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.privacy.noise import GRID, discrete_gaussian
from protocols.errors import InvalidInput

MAX_BLOCKS = 64
MAX_CELLS = 65_536
# Cell of a person who adds nothing to a block.
NOWHERE = -1

Counts = NDArray[np.int64]
Cells = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """One table.

    Attributes:
        name: of the block, unique in its layout.
        shape: of the table.
        weight: how much one person counts, against the other blocks; the largest of a layout is a
            power of two.
        people: kind of the people in it; empty: of every kind.
    """

    name: str
    shape: tuple[int, ...]
    weight: int = 1
    people: str = ""

    @property
    def size(self) -> int:
        """Cells."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """Which blocks a vector is made of, in order.

    Raises:
        InvalidInput: no block, a name twice, or a size or weight out of range.
    """

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        names = [block.name for block in self.blocks]
        if not 1 <= len(names) <= MAX_BLOCKS or len(set(names)) != len(names):
            raise InvalidInput(f"a tally has 1 to {MAX_BLOCKS} blocks, each named once")
        if any(block.size < 1 or not 1 <= block.weight <= 64 for block in self.blocks):
            raise InvalidInput("a block of a tally has cells, and a weight from 1 to 64")
        if self.heaviest.bit_count() != 1:
            raise InvalidInput("the largest weight of a tally is a power of two")
        if self.size > MAX_CELLS:
            raise InvalidInput(f"a tally has at most {MAX_CELLS} cells")

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(block.size for block in self.blocks)

    @property
    def heaviest(self) -> int:
        """The largest weight: one person in such a block is `GRID` units of what is released."""
        return max(block.weight for block in self.blocks)

    @property
    def spread(self) -> float:
        """Sensitivity of what is released, in units of `GRID`."""
        return self.sensitivity / self.heaviest

    @cached_property
    def sensitivity(self) -> float:
        """L2 sensitivity of the flat vector for one person, in units of weight 1."""
        everyone = sum(one.weight**2 for one in self.blocks if not one.people)
        kinds = {one.people for one in self.blocks if one.people}
        squares = [
            sum(one.weight**2 for one in self.blocks if one.people == kind) for kind in kinds
        ]
        return math.sqrt(everyone + max(squares, default=0))

    def add(self, cells: Mapping[str, Cells]) -> Counts:
        """Count people.

        Args:
            cells: for each block int64[n], the index of a person's cell in the flattened table, or
                `NOWHERE`; people in the same order in all of them. A block that is not named
                stays empty.

        Returns:
            int64[size], in units of weight 1. It must not leave a node as it is.

        Raises:
            InvalidInput: an unknown block, a cell outside its table, blocks of different length,
                or a person in blocks of two kinds.
        """
        blocks = {block.name: block for block in self.blocks}
        if not set(cells) <= set(blocks) or len({len(index) for index in cells.values()}) > 1:
            raise InvalidInput("a tally counts the same people in each of its own blocks")
        kinds: dict[str, NDArray[np.bool_]] = {}
        for name, index in cells.items():
            if (
                len(index)
                and not NOWHERE <= int(index.min()) <= int(index.max()) < blocks[name].size
            ):
                raise InvalidInput(f"a cell outside block {name}")
            if kind := blocks[name].people:
                there = index != NOWHERE
                kinds[kind] = kinds[kind] | there if kind in kinds else there
        if len(kinds) > 1 and bool((np.sum(list(kinds.values()), axis=0) > 1).any()):
            raise InvalidInput("a person is in blocks of two kinds of people")
        return np.concatenate([_counted(block, cells.get(block.name)) for block in self.blocks])

    def noisy(self, counts: Counts, noise_multiplier: float) -> Counts:
        """What may leave: counts with noise, int64[size].

        One person in a block of the largest weight is `GRID` units, so that no cell is larger than
        the number of people times `GRID`.

        Args:
            counts: of `add`.
            noise_multiplier: this node's, as it is charged.
        """
        if counts.shape != (self.size,):
            raise InvalidInput("counts of another layout")
        sigma = noise_multiplier * self.spread * GRID
        unit = GRID // self.heaviest
        return counts.astype(np.int64) * unit + discrete_gaussian(sigma, self.size)

    def read(self, vector: Counts) -> dict[str, Floats]:
        """People in each cell of each block, from a sum of `noisy` vectors (or one).

        Args:
            vector: int64[size].

        Returns:
            float64[shape] by block; noise may make a count negative.

        Raises:
            InvalidInput: another type or length.
        """
        if vector.dtype != np.int64 or vector.shape != (self.size,):
            raise InvalidInput(f"a tally of these blocks is int64[{self.size}]")
        found, start = {}, 0
        for block in self.blocks:
            part = vector[start : start + block.size].astype(np.float64)
            found[block.name] = part.reshape(block.shape) * (self.heaviest / GRID / block.weight)
            start += block.size
        return found

    def deviation(self, name: str, noise_multiplier: float, nodes: int = 1) -> float:
        """Standard deviation of the noise in each cell of a block, in people.

        Args:
            name: of the block.
            noise_multiplier: that each node adds.
            nodes: whose vectors are in the sum.
        """
        (block,) = (one for one in self.blocks if one.name == name)
        return noise_multiplier * self.sensitivity * math.sqrt(nodes) / block.weight


def _counted(block: Block, index: Cells | None) -> Counts:
    if index is None:
        return np.zeros(block.size, np.int64)
    counts = np.bincount(index[index != NOWHERE], minlength=block.size)
    return counts.astype(np.int64) * block.weight
