"""The cases of transparency-dev's Merkle test vectors: good proofs, and every way to spoil one."""

from collections.abc import Iterator

import pytest

from audit.merkle import (
    Frontier,
    ProofInvalid,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from tests.audit.test_merkle import LEAVES, ROOTS, nodes

HASHES = [leaf_hash(leaf) for leaf in LEAVES]
NODE = nodes(HASHES)
WRONG = bytes.fromhex("5a") * 32
Inclusion = tuple[int, int, bytes, list[bytes], bytes]
"""(index, size, leaf hash, proof, root)."""
Consistency = tuple[int, int, bytes, bytes, list[bytes]]
"""(old size, new size, old root, new root, proof)."""


def root(size: int) -> bytes:
    return bytes.fromhex(ROOTS[size])


def spoiled_proofs(proof: list[bytes], roots: list[bytes]) -> Iterator[list[bytes]]:
    for garbage in (b"", WRONG, *roots):
        yield [*proof, garbage]
        yield [garbage, *proof]
    if proof:
        yield proof[:-1]
        yield proof[1:]
        yield []
    for at, item in enumerate(proof):
        for changed in (item[:-1], item + b"\x00", bytes([item[0] ^ 1]) + item[1:], WRONG, b""):
            yield [*proof[:at], changed, *proof[at + 1 :]]
    for at in range(len(proof) - 1):
        yield [*proof[:at], proof[at + 1], proof[at], *proof[at + 2 :]]


def spoiled_inclusions(good: Inclusion) -> Iterator[Inclusion]:
    index, size, leaf, proof, head = good
    for other in {index - 1, index + 1, index ^ 2, -1, size, 2**63} - {index}:
        yield other, size, leaf, proof, head
    for other in {size * 2, size // 2, 0, -1, 2**63}:
        yield index, other, leaf, proof, head
    for other in (WRONG, leaf[:-1], b"", node_hash(leaf, leaf)):
        yield index, size, other, proof, head
        yield index, size, leaf, proof, other
    for changed in spoiled_proofs(proof, [head]):
        yield index, size, leaf, changed, head


def spoiled_consistencies(good: Consistency) -> Iterator[Consistency]:
    old, new, old_root, new_root, proof = good
    for other in {old - 1, old + 1, old ^ 2, 0, -1} - {old}:
        yield other, new, old_root, new_root, proof
    for other in {new * 2, new // 2, 0, -1, 2**63} - {new}:
        yield old, other, old_root, new_root, proof
    for other in (WRONG, b"", old_root[:-1]):
        yield old, new, other, new_root, proof
        yield old, new, old_root, other, proof
    if old != new:
        yield new, old, new_root, old_root, proof
        yield old, new, new_root, old_root, proof
    for changed in spoiled_proofs(proof, [old_root, new_root]):
        yield old, new, old_root, new_root, changed


@pytest.mark.parametrize(
    ("index", "size"), [(0, 1), (0, 8), (5, 8), (2, 3), (1, 5), (7, 8), (3, 7)]
)
def test_an_inclusion_proof_holds_and_no_spoiled_one_does(index: int, size: int) -> None:
    good = (index, size, HASHES[index], inclusion_proof(index, size, NODE), root(size))
    verify_inclusion(*good)
    for bad in spoiled_inclusions(good):
        with pytest.raises(ProofInvalid):
            verify_inclusion(*bad)


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 8), (6, 8), (2, 5), (4, 8), (8, 8), (3, 7)])
def test_a_consistency_proof_holds_and_no_spoiled_one_does(old: int, new: int) -> None:
    good = (old, new, root(old), root(new), consistency_proof(old, new, NODE))
    verify_consistency(*good)
    for bad in spoiled_consistencies(good):
        with pytest.raises(ProofInvalid):
            verify_consistency(*bad)


def test_the_empty_tree_proves_nothing() -> None:
    for proof in ([], [WRONG]):
        with pytest.raises(ProofInvalid):
            verify_inclusion(0, 0, HASHES[0], proof, root(0))
        with pytest.raises(ProofInvalid):
            verify_consistency(0, 8, root(0), root(8), proof)
        with pytest.raises(ProofInvalid):
            verify_consistency(0, 0, root(0), root(0), proof)


def test_an_inner_node_cannot_be_shown_as_a_leaf() -> None:
    inner = Frontier().extend(HASHES[:2]).root()
    with pytest.raises(ProofInvalid):
        verify_inclusion(0, 1, leaf_hash(HASHES[0] + HASHES[1]), [], inner)
