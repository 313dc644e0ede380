"""The verifier's own Merkle tree (RFC 9162 section 2.1.1), fed one leaf hash after another.

It shares no code with the log it checks. Besides the root it gives out the tiles that the log is
supposed to have stored: 256 hashes that stand side by side at every eighth height.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

TILE_BITS = 8
TILE_WIDTH = 1 << TILE_BITS


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile as it must be."""

    level: int
    index: int
    hashes: list[bytes]
    root: bytes


class Tree:
    """A growing tree; keeps O(log n) nodes and the hashes of unfinished tiles."""

    def __init__(self, size: int = 0, perfect: Sequence[bytes] = ()) -> None:
        """Begin empty, or go on where `size` leaves make these perfect subtrees, largest first.

        A tree that goes on gives out no tiles: it has not seen what they begin with.
        """
        heights = [bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]
        self.size = size
        # (height, root), largest first
        self._perfect = list(zip(heights, perfect, strict=True))
        self._tiled = size == 0
        self._open: list[list[bytes]] = [[]]  # hashes of the unfinished tile of every level

    def append(self, leaf_hash: bytes) -> list[Tile]:
        """Add a leaf; returns the tiles that it completed, lowest level first."""
        tiles: list[Tile] = []
        if self._tiled:
            self._open[0].append(leaf_hash)
        height, node = 0, leaf_hash
        while self._perfect and self._perfect[-1][0] == height:
            _, left = self._perfect.pop()
            node = hashlib.sha256(b"\x01" + left + node).digest()
            height += 1
            if height % TILE_BITS == 0 and self._tiled:
                tiles.append(self._complete(height // TILE_BITS - 1, node))
        self._perfect.append((height, node))
        self.size += 1
        return tiles

    def root(self) -> bytes:
        """Root hash; of no leaves, SHA-256 of nothing."""
        if not self._perfect:
            return hashlib.sha256(b"").digest()
        _, root = self._perfect[-1]
        for _, left in reversed(self._perfect[:-1]):
            root = hashlib.sha256(b"\x01" + left + root).digest()
        return root

    def perfect(self) -> list[tuple[int, int, bytes]]:
        """The perfect subtrees it is made of: (first leaf, leaves, root), left to right."""
        found, start = [], 0
        for height, root in self._perfect:
            found.append((start, 1 << height, root))
            start += 1 << height
        return found

    def unfinished(self) -> list[Tile]:
        """The hashes so far of every level's unfinished tile; its root is unknown (empty)."""
        return [
            Tile(level, self.size >> (TILE_BITS * (level + 1)), hashes, b"")
            for level, hashes in enumerate(self._open)
        ]

    def _complete(self, level: int, root: bytes) -> Tile:
        hashes, self._open[level] = self._open[level], []
        if level + 1 == len(self._open):
            self._open.append([])
        index = self.size >> (TILE_BITS * (level + 1))  # self.size is the last leaf's number
        self._open[level + 1].append(root)
        return Tile(level, index, hashes, root)
