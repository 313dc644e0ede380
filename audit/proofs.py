"""What a log shows of itself to who may read it: checkpoints, proofs, leaves, tiles; no payload.

Every answer is read in one snapshot of what is committed. A checkpoint that witnesses cosigned is
preferred, for it is the one that others hold too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from audit.checkpoint import NoteKey, sign_checkpoint, signer_of
from audit.database import Connection, Database
from audit.receipts import Receipt, prove, prove_kept
from audit.store import AuditLog, LeafNotFound
from audit.tiles import TILE_BITS, TILE_WIDTH, TileCache
from audit.tree_rows import nodes
from audit.verifier.consistency import CONSISTENCY_FORMAT
from audit.verifier.note import Checkpoint, Note
from audit.witness_state import require_signable
from audit.witness_store import latest_witnessed
from protocols.errors import InvalidInput, NotFound
from protocols.keys import SigningKey

MAX_ENTRIES = 256
"""Leaves in one answer."""


class TileNotFound(NotFound):
    """The log is not that long, or the tile is not full and asked for as if it were."""

    code = "log_tile_not_found"
    next_step = "Take the size of the newest checkpoint; a partial tile has its width in its name."


@dataclass(frozen=True, slots=True)
class PublicLeaf:
    """The public part of one act."""

    seq: int
    leaf: str
    leaf_hash: bytes


class LogReader:
    """Reads one log for others; thread-safe."""

    def __init__(
        self,
        log: AuditLog,
        database: Database,
        signing_key: Callable[[], SigningKey],
        now_ms: Callable[[], int],
    ) -> None:
        """Read `log`, in `database`, signed by its key in force; `now_ms` is UTC milliseconds."""
        self.log = log
        self.database = database
        self.signing_key = signing_key
        self.now_ms = now_ms

    @property
    def key(self) -> NoteKey:
        """The log's verifier key."""
        return NoteKey(self.log.origin, self.signing_key().verify_key)

    def checkpoint(self, *, witnessed: bool = True) -> bytes:
        """The newest witnessed checkpoint; without one, or if not asked for, the signed head."""
        with self.database.read() as connection:
            found = self.witnessed(connection) if witnessed else None
            return found or self._signed(connection)

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """Proof that leaf `seq` is in the tree of `size` leaves (RFC 9162 section 2.1.3).

        Raises:
            InvalidInput: not seq < size <= the log's size.
        """
        return self.log.inclusion_proof(seq, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Proof that the tree of `new` leaves continues that of `old`; of none, no hashes.

        Raises:
            InvalidInput: not 0 <= old <= new <= the log's size.
        """
        if old == 0:
            if not 0 <= new <= self.log.head().size:
                raise InvalidInput("the log is not that long")
            return []
        return self.log.consistency_proof(old, new)

    def consistency_file(self, old: bytes) -> dict[str, Any]:
        """The proof file from a checkpoint that somebody kept to the newest one.

        Raises:
            Malformed: that is no checkpoint.
            InvalidInput: it is of another log, or of more leaves than there are.
        """
        kept = Checkpoint.parse(Note.parse(old).text)
        if kept.origin != self.log.origin:
            raise InvalidInput("the checkpoint is of another log")
        with self.database.read() as connection:
            note = self.witnessed(connection)
            if note is None or _size(note) < kept.size or not signer_of(note, [self.key]):
                note = self._signed(connection)
            new = _size(note)
            path: Sequence[bytes] = ()
            if 0 < kept.size < new:
                path = self.log.consistency_proof(kept.size, new, connection)
            elif kept.size > new:
                raise InvalidInput("the checkpoint is of more leaves than the log has")
        return {
            "format": CONSISTENCY_FORMAT,
            "old": old.decode(),
            "new": note.decode(),
            "path": [one.hex() for one in path],
            "key": self.key.encode(),
        }

    def leaf(self, seq: int) -> PublicLeaf:
        """The public part of one leaf.

        Raises:
            LeafNotFound: there is none.
        """
        found = self.leaves(seq, seq + 1)
        if not found:
            raise LeafNotFound(f"the log has no leaf {seq}")
        return found[0]

    def leaves(self, start: int, stop: int) -> list[PublicLeaf]:
        """The leaves start <= seq < stop that there are, at most `MAX_ENTRIES`.

        Raises:
            InvalidInput: no such range.
        """
        if not 0 <= start <= stop or stop - start > MAX_ENTRIES:
            raise InvalidInput(f"a range is of at most {MAX_ENTRIES} leaves, from 0 on")
        with self.database.read() as connection:
            return [
                PublicLeaf(one.seq, one.leaf.decode("ascii"), one.leaf_hash)
                for one in self.log.leaves(connection, start, stop)
            ]

    def receipt(self, seq: int, *, opened: bool) -> Receipt:
        """The receipt of one leaf; `opened`: with its content, for who may know it.

        Raises:
            LeafNotFound: there is none.
        """
        with self.database.read() as connection:
            note = self.witnessed(connection)
            found = prove_kept(self.log, connection, seq, self.signing_key(), note)
        return found if opened else found.blind()

    def shown(self, seq: int) -> Receipt:
        """The receipt with its content.

        Raises:
            LeafNotFound: there is none.
            PayloadErased: the content was destroyed.
        """
        with self.database.read() as connection:
            note = self.witnessed(connection)
            return prove(self.log, connection, seq, self.signing_key(), note)

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """Hashes of a tile (C2SP tlog-tiles), `width` of them; those to the right do not matter.

        Raises:
            TileNotFound: there are not so many.
        """
        stop = ((index << TILE_BITS) + width) << (TILE_BITS * level)
        with self.database.read() as connection:
            if not 0 < width <= TILE_WIDTH or stop > self.log.head(connection).size:
                raise TileNotFound("the log has no such tile")
            node = nodes(connection, TileCache())
            first = index << TILE_BITS
            return b"".join(node(TILE_BITS * level, first + at) for at in range(width))

    def bundle(self, index: int, width: int = TILE_WIDTH) -> bytes:
        """Leaves of an entry bundle (C2SP tlog-tiles): each after its length in two bytes.

        Raises:
            TileNotFound: there are not so many.
        """
        start = index << TILE_BITS
        with self.database.read() as connection:
            found = list(self.log.leaves(connection, start, start + width))
        if len(found) != width or not 0 < width <= TILE_WIDTH:
            raise TileNotFound("the log has no such bundle")
        return b"".join(len(one.leaf).to_bytes(2, "big") + one.leaf for one in found)

    def witnessed(self, connection: Connection) -> bytes | None:
        """The newest checkpoint that witnesses cosigned, or None."""
        return latest_witnessed(connection) or None

    def _signed(self, connection: Connection) -> bytes:
        require_signable(connection)
        head = self.log.head(connection)
        checkpoint = Checkpoint(self.log.origin, head.size, head.root)
        return sign_checkpoint(checkpoint, self.signing_key())


def _size(note: bytes) -> int:
    return Checkpoint.parse(Note.parse(note).text).size
