"""The pure tree against the RFC's text, its example and Certificate Transparency's known roots."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import merkle
from audit.merkle import EMPTY_ROOT, Frontier, ProofInvalid, leaf_hash, node_hash
from audit.tiles import TILE_WIDTH, TileNodes
from protocols.errors import InvalidInput, Malformed
from tests.audit import naive

# The eight leaves of Certificate Transparency's reference tests, and the roots of their prefixes.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def nodes(hashes: list[bytes]) -> TileNodes:
    """A reader over hashes in memory, through the same tiles as the store."""
    levels = [hashes]
    while len(levels[-1]) >= TILE_WIDTH:
        row = levels[-1]
        full = range(len(row) // TILE_WIDTH)
        levels.append([root_of(row[i * TILE_WIDTH : (i + 1) * TILE_WIDTH]) for i in full])
    return TileNodes(
        lambda level, index: b"".join(levels[level][index * TILE_WIDTH : (index + 1) * TILE_WIDTH])
    )


def root_of(hashes: list[bytes]) -> bytes:
    return Frontier().extend(hashes).root()


@pytest.mark.parametrize("size", range(9))
def test_known_leaves_give_the_known_roots(size: int) -> None:
    assert root_of([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == ROOTS[size]


def test_the_empty_tree_has_the_hash_of_nothing_as_root() -> None:
    assert Frontier().root() == EMPTY_ROOT == naive.mth([])


def test_proofs_are_those_of_the_example_in_rfc_9162_section_2_1_5() -> None:
    leaves = LEAVES[:7]
    a, b, c, d, e, f, j = (leaf_hash(leaf) for leaf in leaves)
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l_ = node_hash(g, h), node_hash(i, j)
    node = nodes([a, b, c, d, e, f, j])
    assert merkle.inclusion_proof(0, 7, node) == [b, h, l_]
    assert merkle.inclusion_proof(3, 7, node) == [c, g, l_]
    assert merkle.inclusion_proof(4, 7, node) == [f, j, k]
    assert merkle.inclusion_proof(6, 7, node) == [i, k]
    assert merkle.consistency_proof(3, 7, node) == [c, d, g, l_]
    assert merkle.consistency_proof(4, 7, node) == [l_]
    assert merkle.consistency_proof(6, 7, node) == [i, j, k]


def test_all_proofs_in_small_trees_are_those_of_the_rfc_and_verify() -> None:
    leaves = [bytes([number]) for number in range(34)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    node = nodes(hashes)
    for size in range(1, len(leaves) + 1):
        root = naive.mth(leaves[:size])
        assert root_of(hashes[:size]) == root
        for index in range(size):
            inclusion = merkle.inclusion_proof(index, size, node)
            assert inclusion == naive.path(index, leaves[:size])
            merkle.verify_inclusion(index, size, hashes[index], inclusion, root)
        for old in range(1, size + 1):
            consistency = merkle.consistency_proof(old, size, node)
            assert consistency == naive.proof(old, leaves[:size])
            merkle.verify_consistency(old, size, naive.mth(leaves[:old]), root, consistency)


@given(st.integers(1, 66_000), st.data())
def test_proofs_across_tiles_verify_at_any_size(size: int, data: st.DataObject) -> None:
    node, hashes = LARGE
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    old_root, root = (merkle.subtree_hash(0, count, node) for count in (old, size))
    inclusion = merkle.inclusion_proof(index, size, node)
    merkle.verify_inclusion(index, size, hashes[index], inclusion, root)
    consistency = merkle.consistency_proof(old, size, node)
    merkle.verify_consistency(old, size, old_root, root, consistency)


def test_the_frontier_of_a_large_tree_has_the_root_that_its_tiles_give() -> None:
    node, hashes = LARGE
    assert root_of(hashes) == merkle.subtree_hash(0, len(hashes), node)


@given(st.lists(st.binary(max_size=4), max_size=70), st.integers(0, 70))
def test_a_frontier_survives_being_stored_between_any_two_appends(
    leaves: list[bytes], at: int
) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves]
    first = Frontier().extend(hashes[:at])
    again = Frontier.from_bytes(first.size, first.to_bytes()).extend(hashes[at:])
    assert again == Frontier().extend(hashes)
    assert again.root() == naive.mth(leaves)


@pytest.mark.parametrize(("size", "length"), [(0, 32), (3, 32), (4, 64), (-1, 32), (1, 31)])
def test_a_frontier_of_the_wrong_length_is_refused(size: int, length: int) -> None:
    with pytest.raises(Malformed):
        Frontier.from_bytes(size, bytes(length))


def broken(proof: list[bytes]) -> list[list[bytes]]:
    """Every way to spoil a proof by one step."""
    flipped = [
        [*proof[:at], bytes([item[0] ^ 1]) + item[1:], *proof[at + 1 :]]
        for at, item in enumerate(proof)
    ]
    shorter = [proof[:-1], proof[1:]] if proof else []
    return [*flipped, *shorter, [*proof, bytes(32)], [bytes(32), *proof], [*proof[::-1], b""]]


def refuses(call: Callable[[], None]) -> bool:
    try:
        call()
    except ProofInvalid:
        return True
    return False


@given(st.integers(1, 40), st.data())
def test_no_other_inclusion_proof_verifies(size: int, data: st.DataObject) -> None:
    leaves = [bytes([number]) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof, root = naive.path(index, leaves), naive.mth(leaves)
    leaf = leaf_hash(leaves[index])
    for other in broken(proof):
        assert refuses(lambda p=other: merkle.verify_inclusion(index, size, leaf, p, root))
    for wrong in {-1, index - 1, index + 1, index ^ 2, size} - {index}:
        assert refuses(lambda i=wrong: merkle.verify_inclusion(i, size, leaf, proof, root))
    assert refuses(lambda: merkle.verify_inclusion(index, size, bytes(32), proof, root))
    assert refuses(lambda: merkle.verify_inclusion(index, size, leaf, proof, bytes(32)))


@given(st.integers(2, 40), st.data())
def test_no_other_consistency_proof_verifies(size: int, data: st.DataObject) -> None:
    leaves = [bytes([number]) for number in range(size)]
    old = data.draw(st.integers(1, size - 1))
    proof, old_root, root = naive.proof(old, leaves), naive.mth(leaves[:old]), naive.mth(leaves)
    for other in broken(proof):
        assert refuses(lambda p=other: merkle.verify_consistency(old, size, old_root, root, p))
    for a, b in ((bytes(32), root), (old_root, bytes(32)), (root, old_root)):
        assert refuses(lambda a=a, b=b: merkle.verify_consistency(old, size, a, b, proof))
    assert refuses(lambda: merkle.verify_consistency(old, old, old_root, root, []))
    assert refuses(lambda: merkle.verify_consistency(size, size, root, root, [bytes(32)]))
    assert refuses(lambda: merkle.verify_consistency(0, size, EMPTY_ROOT, root, []))
    assert refuses(lambda: merkle.verify_consistency(size, old, root, old_root, proof))


def test_an_empty_string_is_never_a_hash() -> None:
    assert refuses(lambda: merkle.verify_inclusion(0, 1, b"", [], b""))
    assert refuses(lambda: merkle.verify_consistency(1, 1, b"", b"", []))


def test_a_proof_is_not_made_for_what_is_not_in_the_tree() -> None:
    node = nodes([leaf_hash(b"a")])
    for index, size in ((1, 1), (-1, 1), (0, 0)):
        with pytest.raises(InvalidInput):
            merkle.inclusion_proof(index, size, node)
    for old, new in ((0, 1), (2, 1), (-1, 1)):
        with pytest.raises(InvalidInput):
            merkle.consistency_proof(old, new, node)


_HASHES = [leaf_hash(number.to_bytes(4, "big")) for number in range(66_000)]
LARGE = (nodes(_HASHES), _HASHES)
