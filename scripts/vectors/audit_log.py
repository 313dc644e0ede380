"""Vectors of an audit leaf, the tree over leaves, its proofs, and a checkpoint."""

import json
from typing import Any

from audit.checkpoint import Checkpoint, NoteKey, sign_checkpoint
from audit.leaf import Entry, open_ciphertext, seal_entries
from audit.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash, subtree_hash
from audit.shredding import DataKey
from scripts.vectors.seeds import NOW_MS, seed, seeded, signing

ORIGIN = "credence.example/bank-a"
LEAVES = [bytes([number]) * number for number in range(9)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def page() -> dict[str, Any]:
    """One leaf, a tree of nine, proofs of every shape, and its checkpoint."""
    return {
        "vectors": [
            _leaf(),
            {
                "check": "tree",
                "name": "roots of trees of 0 to 9 leaves",
                "leaves": [leaf.hex() for leaf in LEAVES],
                "leaf_hashes": [item.hex() for item in HASHES],
                "roots": [_root(size).hex() for size in range(len(LEAVES) + 1)],
            },
            *(_inclusion(index, size) for index, size in ((0, 1), (0, 8), (5, 7), (8, 9), (4, 9))),
            *(_consistency(old, new) for old, new in ((1, 9), (4, 9), (6, 9), (7, 8))),
            _checkpoint(),
        ]
    }


def _leaf() -> dict[str, Any]:
    entry = Entry(
        kind="exchange.released",
        actor="payments",
        purpose="score",
        correlation="req_" + "b" * 26,
        payload={"peer": "bank-a", "refusal": "", "signals": ["statement_balance"]},
        subject=seed("pseudonym"),
        at_ms=NOW_MS,
    )
    key = DataKey(key_id=seed("data key id")[:16], key=seed("data key"))
    with seeded("leaf"):
        (sealed,) = seal_entries([entry], [key])
    opening = open_ciphertext(sealed.leaf, sealed.ciphertext, key)
    return {
        "check": "leaf",
        "name": "a leaf and the payload it commits to",
        "key_id": key.key_id.hex(),
        "key": key.key.hex(),
        "salt": opening.salt.hex(),
        "payload": opening.payload.decode(),
        "pc": json.loads(sealed.leaf)["pc"],
        "ciphertext": sealed.ciphertext.hex(),
        "ch": json.loads(sealed.leaf)["ch"],
        "leaf": sealed.leaf.decode(),
        "leaf_hash": leaf_hash(sealed.leaf).hex(),
    }


def _root(size: int) -> bytes:
    return Frontier().extend(HASHES[:size]).root()


def _node(level: int, index: int) -> bytes:
    if level == 0:
        return HASHES[index]
    start = index << level
    half = 1 << (level - 1)
    return Frontier().extend(HASHES[start : start + 2 * half]).root()


def _inclusion(index: int, size: int) -> dict[str, Any]:
    proof = inclusion_proof(index, size, _node)
    return {
        "check": "inclusion",
        "name": f"leaf {index} of {size}",
        "index": index,
        "size": size,
        "leaf_hash": HASHES[index].hex(),
        "proof": [item.hex() for item in proof],
        "root": subtree_hash(0, size, _node).hex(),
    }


def _consistency(old: int, new: int) -> dict[str, Any]:
    return {
        "check": "consistency",
        "name": f"from {old} to {new}",
        "old": old,
        "new": new,
        "old_root": _root(old).hex(),
        "new_root": _root(new).hex(),
        "proof": [item.hex() for item in consistency_proof(old, new, _node)],
    }


def _checkpoint() -> dict[str, Any]:
    key = signing("log")
    checkpoint = Checkpoint(ORIGIN, len(LEAVES), _root(len(LEAVES)))
    return {
        "check": "checkpoint",
        "name": "the checkpoint of the tree of nine",
        "seed": key.seed.hex(),
        "verifier_key": NoteKey(ORIGIN, key.verify_key).encode(),
        "origin": ORIGIN,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "note": sign_checkpoint(checkpoint, key).decode(),
    }
