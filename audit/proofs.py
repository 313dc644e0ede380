"""One leaf of a log with all that shows somebody, without the log, what it says and that it stands.

The file is JSON; `audit/verifier/inclusion.py` documents and checks it.
"""

from dataclasses import dataclass
from typing import Any

from audit.checkpoint import NoteKey, sign_checkpoint
from audit.database import Connection
from audit.leaf import Opening
from audit.store import AuditLog, LeafNotFound
from audit.verifier.inclusion import PROOF_FORMAT
from audit.verifier.note import Checkpoint
from protocols.keys import SigningKey


@dataclass(frozen=True, slots=True)
class LeafProof:
    """A leaf, what is behind it, and its way to a signed root.

    Attributes:
        seq: sequence number of the leaf.
        leaf: its bytes.
        opening: its payload and salt.
        path: inclusion proof (RFC 9162 section 2.1.3), leaf's sibling first.
        checkpoint: signed note.
        key: who signed it.
    """

    seq: int
    leaf: bytes
    opening: Opening
    path: tuple[bytes, ...]
    checkpoint: bytes
    key: NoteKey

    def to_json(self) -> dict[str, Any]:
        """As the verifier reads it."""
        return {
            "format": PROOF_FORMAT,
            "seq": self.seq,
            "leaf": self.leaf.decode("ascii"),
            "payload": self.opening.payload.decode("utf-8"),
            "salt": self.opening.salt.hex(),
            "path": [one.hex() for one in self.path],
            "checkpoint": self.checkpoint.decode("utf-8"),
            "key": self.key.encode(),
        }


def prove(log: AuditLog, connection: Connection, seq: int, signing_key: SigningKey) -> LeafProof:
    """Prove one leaf against the head that `connection` sees.

    Args:
        log: the log.
        connection: of a read transaction, so that the head is a committed one.
        seq: which leaf.
        signing_key: the member's own, by which its directory entry names it.

    Raises:
        LeafNotFound: there is no such leaf.
        PayloadErased: the payload's key was destroyed.
    """
    head = log.head(connection)
    found = list(log.leaves(connection, seq, seq + 1))
    if not found:
        raise LeafNotFound(f"the log has no leaf {seq}")
    checkpoint = Checkpoint(origin=log.origin, size=head.size, root=head.root)
    return LeafProof(
        seq=seq,
        leaf=found[0].leaf,
        opening=log.opening(seq, connection),
        path=tuple(log.inclusion_proof(seq, head.size, connection)),
        checkpoint=sign_checkpoint(checkpoint, signing_key),
        key=NoteKey(log.origin, signing_key.verify_key),
    )
