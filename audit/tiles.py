"""Where proofs find their nodes: tiles of 256 hashes.

Tile (level, index) holds the 256 hashes of the subtrees of height 8 * level that stand side by
side from 256 * index on (at level 0, leaf hashes); its root is one hash of level + 1. Only full
tiles are stored, with their root; they never change. A proof in a tree of a million leaves then
touches three tiles. C2SP's tlog-tiles has the same geometry.
"""

from collections.abc import Callable

from audit.merkle import HASH_SIZE, node_hash

TILE_BITS = 8
TILE_WIDTH = 1 << TILE_BITS

HashesReader = Callable[[int, int], bytes]
"""(tile level, tile index) -> its hashes one after another, fewer than 256 if it is not full."""


def tile_root(hashes: bytes) -> bytes:
    """Root of a full tile."""
    return _pyramid(hashes)[TILE_BITS][0]


def completed(old: int, new: int) -> range:
    """Indices of the tiles that become full as a level grows from `old` to `new` hashes."""
    return range(old >> TILE_BITS, new >> TILE_BITS)


class TileNodes:
    """A `NodeReader` over tiles; reads each tile once, so make one for every proof."""

    def __init__(self, hashes: HashesReader) -> None:
        self._hashes = hashes
        self._pyramids: dict[tuple[int, int], list[list[bytes]]] = {}

    def __call__(self, level: int, index: int) -> bytes:
        """Hash of the perfect subtree (level, index)."""
        tile_level, height = divmod(level, TILE_BITS)
        tile_index, offset = divmod(index, TILE_WIDTH >> height)
        pyramid = self._pyramids.get((tile_level, tile_index))
        if pyramid is None:
            pyramid = _pyramid(self._hashes(tile_level, tile_index))
            self._pyramids[tile_level, tile_index] = pyramid
        return pyramid[height][offset]


def _pyramid(hashes: bytes) -> list[list[bytes]]:
    """All perfect subtrees inside one tile by height, 0 to 8."""
    row = [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
    rows = [row]
    for _ in range(TILE_BITS):
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        rows.append(row)
    return rows
