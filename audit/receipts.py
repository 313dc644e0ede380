"""The receipt of one act: its leaf with all that shows somebody, without the log, that it stands.

The file is JSON; `audit/verifier/receipt.py` documents and checks it. A receipt is made against a
checkpoint that witnesses have cosigned, where there is one that covers the leaf, and otherwise
against the head of this moment, signed by the log alone: its holder then asks again later.
"""

from dataclasses import dataclass, replace
from typing import Any

from audit.checkpoint import NoteKey, sign_checkpoint, signer_of
from audit.database import Connection
from audit.leaf import Opening
from audit.shredding import PayloadErased
from audit.store import AuditLog, LeafNotFound
from audit.verifier.note import Checkpoint, Note
from audit.verifier.promise import PROMISE_DOMAIN, promised
from audit.verifier.receipt import ERASED, RECEIPT_FORMAT, SHOWN, WITHHELD
from audit.witness_state import require_signable
from protocols.keys import SigningKey


@dataclass(frozen=True, slots=True)
class Receipt:
    """A leaf, what is behind it, and its way to a signed root.

    Attributes:
        seq: sequence number of the leaf.
        leaf: its bytes.
        opening: its payload and salt; None: withheld or erased.
        erased: whether the payload's key was destroyed.
        path: inclusion proof (RFC 9162 section 2.1.3), leaf's sibling first.
        checkpoint: signed note.
        key: who signed it.
    """

    seq: int
    leaf: bytes
    opening: Opening | None
    erased: bool
    path: tuple[bytes, ...]
    checkpoint: bytes
    key: NoteKey

    def blind(self) -> "Receipt":
        """For anybody: it says whether the content is gone, never what it is."""
        return replace(self, opening=None)

    def to_json(self) -> dict[str, Any]:
        """As the verifier reads it."""
        shown = self.opening
        return {
            "format": RECEIPT_FORMAT,
            "seq": self.seq,
            "leaf": self.leaf.decode("ascii"),
            "content": ERASED if self.erased else WITHHELD if shown is None else SHOWN,
            "payload": None if shown is None else shown.payload.decode("utf-8"),
            "salt": None if shown is None else shown.salt.hex(),
            "path": [one.hex() for one in self.path],
            "checkpoint": self.checkpoint.decode("utf-8"),
            "key": self.key.encode(),
        }


def prove(
    log: AuditLog,
    connection: Connection,
    seq: int,
    signing_key: SigningKey,
    witnessed: bytes | None = None,
) -> Receipt:
    """The receipt of one leaf for who may know what it says.

    Args:
        log: the log.
        connection: of a read transaction, so that the head is a committed one.
        seq: which leaf.
        signing_key: the log's own, by which the directory names its owner.
        witnessed: the newest checkpoint with its cosignatures; used where it covers the leaf.

    Raises:
        LeafNotFound: there is no such leaf.
        PayloadErased: the payload's key was destroyed.
    """
    return _made(log, connection, seq, signing_key, witnessed, log.opening(seq, connection))


def prove_kept(
    log: AuditLog,
    connection: Connection,
    seq: int,
    signing_key: SigningKey,
    witnessed: bytes | None = None,
) -> Receipt:
    """As `prove`, but of an erased leaf the receipt that says so.

    Raises:
        LeafNotFound: there is no such leaf.
    """
    try:
        opening = log.opening(seq, connection)
    except PayloadErased:
        opening = None
    return _made(log, connection, seq, signing_key, witnessed, opening)


def _made(
    log: AuditLog,
    connection: Connection,
    seq: int,
    signing_key: SigningKey,
    witnessed: bytes | None,
    opening: Opening | None,
) -> Receipt:
    found = list(log.leaves(connection, seq, seq + 1))
    if not found:
        raise LeafNotFound(f"the log has no leaf {seq}")
    note, size = checkpoint_for(log, connection, seq, signing_key, witnessed)
    return Receipt(
        seq=seq,
        leaf=found[0].leaf,
        opening=opening,
        erased=opening is None,
        path=tuple(log.inclusion_proof(seq, size, connection)),
        checkpoint=note,
        key=NoteKey(log.origin, signing_key.verify_key),
    )


def checkpoint_for(
    log: AuditLog,
    connection: Connection,
    seq: int,
    signing_key: SigningKey,
    witnessed: bytes | None,
) -> tuple[bytes, int]:
    """A signed note that covers leaf `seq`, and its size.

    The witnessed one, if it does and the key in force signed it.
    """
    head = log.head(connection)
    key = NoteKey(log.origin, signing_key.verify_key)
    if witnessed is not None and signer_of(witnessed, [key]):
        size = Checkpoint.parse(Note.parse(witnessed).text).size
        if seq < size <= head.size:
            return witnessed, size
    require_signable(connection)
    checkpoint = Checkpoint(origin=log.origin, size=head.size, root=head.root)
    return sign_checkpoint(checkpoint, signing_key), head.size


def sign_promise(key: SigningKey, origin: str, seq: int, leaf_hash: bytes) -> bytes:
    """The log's promise to keep a leaf at its place, 64 bytes; see `audit.verifier.promise`."""
    return key.sign(PROMISE_DOMAIN, promised(origin, seq, leaf_hash.hex()))
