"""Checks of the vectors of the log: leaves, the tree, its proofs, checkpoints."""

import base64
import json

from audit.checkpoint import Checkpoint, NoteKey, open_checkpoint, sign_checkpoint
from audit.leaf import commitment, open_ciphertext
from audit.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from audit.shredding import DataKey
from protocols.canonical import sha256
from protocols.keys import SigningKey
from tests.protocols.vector_fields import Vector, same, unhex

TREE = [leaf_hash(bytes([number]) * number) for number in range(9)]


def leaf(vector: Vector, _context: Vector) -> None:
    key = DataKey(key_id=unhex(vector["key_id"]), key=unhex(vector["key"]))
    text, ciphertext = vector["leaf"].encode(), unhex(vector["ciphertext"])
    same(leaf_hash(text).hex(), vector["leaf_hash"])
    fields = json.loads(text)
    same((fields["pc"], fields["ch"]), (vector["pc"], vector["ch"]))
    same(sha256(ciphertext).hex(), vector["ch"])
    same(ciphertext[:16], key.key_id)
    same(
        commitment(unhex(vector["salt"]), vector["payload"].encode()).hex(),
        vector["pc"],
    )
    opening = open_ciphertext(text, ciphertext, key)
    same((opening.salt.hex(), opening.payload.decode()), (vector["salt"], vector["payload"]))


def tree(vector: Vector, _context: Vector) -> None:
    hashes = [leaf_hash(unhex(one)) for one in vector["leaves"]]
    same([one.hex() for one in hashes], vector["leaf_hashes"])
    same(hashes, TREE)
    same([root(size).hex() for size in range(len(hashes) + 1)], vector["roots"])


def root(size: int) -> bytes:
    same(max(size, len(TREE)), len(TREE))
    return Frontier().extend(TREE[:size]).root()


def node(level: int, index: int) -> bytes:
    return Frontier().extend(TREE[index << level : (index + 1) << level]).root()


def inclusion(vector: Vector, _context: Vector) -> None:
    index, size = vector["index"], vector["size"]
    proof = [unhex(item) for item in vector["proof"]]
    verify_inclusion(index, size, unhex(vector["leaf_hash"]), proof, unhex(vector["root"]))
    same(inclusion_proof(index, size, node), proof)
    same(root(size).hex(), vector["root"])


def consistency(vector: Vector, _context: Vector) -> None:
    old, new = vector["old"], vector["new"]
    proof = [unhex(item) for item in vector["proof"]]
    verify_consistency(old, new, unhex(vector["old_root"]), unhex(vector["new_root"]), proof)
    same(consistency_proof(old, new, node), proof)
    same((root(old).hex(), root(new).hex()), (vector["old_root"], vector["new_root"]))


def checkpoint(vector: Vector, _context: Vector) -> None:
    named = Checkpoint(vector["origin"], vector["size"], unhex(vector["root"]))
    key = NoteKey.parse(vector["verifier_key"])
    same(open_checkpoint(vector["note"].encode(), [key]), named)
    same(sign_checkpoint(named, SigningKey(unhex(vector["seed"]))).decode(), vector["note"])
    same(base64.b64encode(named.root).decode(), vector["note"].split("\n")[2])
