"""The Merkle tree of RFC 9162 section 2.1, SHA-256, pure.

Leaves and inner nodes are hashed under different prefixes (0x00, 0x01), so that an inner node can
never be shown as a leaf. A tree of n leaves splits at k, the largest power of two below n. Every
subtree left of a split is therefore perfect, never changes, and can be named by (level, index):
it covers the leaves [index << level, (index + 1) << level). Proof generation asks for such nodes
through a `NodeReader`, wherever they are kept.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from protocols.errors import CredenceError, InvalidInput, Malformed

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()  # MTH({}), section 2.1.1

_RUN = 1024  # leaves that are hashed level by level, a power of two

NodeReader = Callable[[int, int], bytes]
"""(level, index) -> hash of that perfect subtree."""


class ProofInvalid(CredenceError):
    """An inclusion or consistency proof does not lead to the given root."""

    code = "proof_invalid"
    category = "invalid"
    next_step = "Fetch the proof and the checkpoint again; if it stays, keep both as evidence."


def leaf_hash(leaf: bytes) -> bytes:
    """MTH({d[0]}) = SHA-256(0x00 || d[0]), section 2.1.1."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), section 2.1.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of the perfect subtrees that a tree of `size` leaves is made of, largest first.

    There is one for every 1 bit of `size`; they suffice to append and to compute the root.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def extend(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """The frontier after appending, O(1) hashes a leaf on average."""
        stack = list(self.hashes)
        size = self.size
        leaves = iter(leaf_hashes)
        while row := list(islice(leaves, _RUN - size % _RUN)):
            # A whole run is one perfect subtree: level by level is quicker than leaf by leaf.
            level = _RUN.bit_length() - 1 if len(row) == _RUN else 0
            for _ in range(level):
                row = node_hashes(row)
            for node in row:
                _carry(stack, node, size >> level)
                size += 1 << level
        return Frontier(size, tuple(stack))

    def root(self) -> bytes:
        """MTH of the whole tree, section 2.1.1."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root

    def to_bytes(self) -> bytes:
        """The hashes one after another."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> "Frontier":
        """Inverse of `to_bytes`.

        Raises:
            Malformed: `data` does not hold one hash for every 1 bit of `size`.
        """
        if size < 0 or len(data) != HASH_SIZE * size.bit_count():
            raise Malformed(f"a frontier of {len(data)} bytes cannot belong to {size} leaves")
        starts = range(0, len(data), HASH_SIZE)
        return cls(size, tuple(data[at : at + HASH_SIZE] for at in starts))


def node_hashes(row: Sequence[bytes]) -> list[bytes]:
    """The level above a level of nodes, in pairs from the left; a last one alone is left out."""
    sha256 = hashlib.sha256
    pairs = zip(row[::2], row[1::2], strict=False)
    return [sha256(b"\x01" + left + right).digest() for left, right in pairs]  # node_hash


def _carry(stack: list[bytes], node: bytes, before: int) -> None:
    """Put the root of a perfect subtree after `before` others of its size."""
    while before & 1:
        node = node_hash(stack.pop(), node)
        before >>= 1
    stack.append(node)


def subtree_hash(start: int, stop: int, node: NodeReader) -> bytes:
    """MTH(D[start:stop]) for a range that the splits of section 2.1.1 produce.

    `start` is then a multiple of the smallest power of two that is not below `stop - start`.
    """
    width = stop - start
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(width)
    return node_hash(subtree_hash(start, middle, node), subtree_hash(middle, stop, node))


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """PATH(index, D[0:size]), section 2.1.3.1: from the leaf's sibling up to the root's child.

    Raises:
        InvalidInput: `index` is not below `size`.
    """
    if not 0 <= index < size:
        raise InvalidInput(f"leaf {index} is not in a tree of {size} leaves")
    path: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(subtree_hash(middle, stop, node))
            stop = middle
        else:
            path.append(subtree_hash(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """PROOF(old, D[0:new]), section 2.1.4.1; empty when `old` equals `new`.

    Raises:
        InvalidInput: not 0 < old <= new.
    """
    if not 0 < old <= new:
        raise InvalidInput(f"no consistency proof leads from {old} to {new} leaves")
    path: list[bytes] = []
    start, stop, whole = 0, new, True
    while old != stop:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(subtree_hash(middle, stop, node))
            stop = middle
        else:
            path.append(subtree_hash(start, middle, node))
            start, whole = middle, False
    if not whole:  # the verifier knows the old root itself
        path.append(subtree_hash(start, stop, node))
    return path[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf with hash `leaf` stands at `index` under `root`, section 2.1.3.2.

    Raises:
        ProofInvalid: it does not.
    """
    # 1. The index is in the tree.
    if not 0 <= index < size:
        raise ProofInvalid(f"leaf {index} is not in a tree of {size} leaves")
    _all_hashes(leaf, root, *proof)
    # 2.-3. Start at the leaf.
    fn, sn, r = index, size - 1, leaf
    # 4. Fold in one sibling after another.
    for sibling in proof:
        if sn == 0:
            raise ProofInvalid("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(sibling, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, sibling)
        fn, sn = fn >> 1, sn >> 1
    # 5. The whole way was walked, and it ends at the root.
    if sn != 0:
        raise ProofInvalid("the inclusion proof is too short")
    _same_root(r, root)


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `new` leaves continues the one of `old`, section 2.1.4.2.

    Raises:
        ProofInvalid: it does not, or not 0 < old <= new.
    """
    if not 0 < old <= new:
        raise ProofInvalid(f"no consistency proof leads from {old} to {new} leaves")
    _all_hashes(old_root, new_root, *proof)
    if old == new and not proof:
        _same_root(old_root, new_root)
        return
    # 1. An empty proof proves nothing, and equal trees need none.
    if old == new or not proof:
        raise ProofInvalid("the consistency proof is empty, or not where it must be")
    # 2. A perfect old tree is a node of the new one; its root is known, so it was left out.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    # 3.-4. Climb to where the old tree's last perfect subtree begins.
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    # 5.-6. Fold the path into both roots at once.
    fr, sr = _fold_both(path, fn, sn)
    # 7. Both roots come out.
    _same_root(fr, old_root)
    _same_root(sr, new_root)


def _fold_both(path: Sequence[bytes], fn: int, sn: int) -> tuple[bytes, bytes]:
    """Steps 5 and 6 of section 2.1.4.2: (old root, new root) that the path leads to."""
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise ProofInvalid("the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofInvalid("the consistency proof is too short")
    return fr, sr


def _split(width: int) -> int:
    """The largest power of two below `width` (> 1), section 2.1.1."""
    return 1 << ((width - 1).bit_length() - 1)


def _all_hashes(*values: bytes) -> None:
    if any(len(value) != HASH_SIZE for value in values):
        raise ProofInvalid("a hash in the proof has not 32 bytes")


def _same_root(computed: bytes, given: bytes) -> None:
    if not hmac.compare_digest(computed, given):
        raise ProofInvalid("the proof leads to another root")
