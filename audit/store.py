"""The log in its database.

`append` runs inside the caller's write transaction, so that an act and its leaf commit together
or not at all. Checkpoints are made of committed heads only: a signed head can never be lost.

A leaf has its number at once, because who writes writes alone (`Database.write`). Acts that can be
done beside each other say so (`write(parallel=True)`) and `submit`: their entries commit with them
too, and on a server database get their numbers after that from one sequencer (`audit.sequencer`);
who has to answer for the act `wait`s for them. On SQLite there is one writer, and `submit` gives
the number at once. Whoever appends first numbers all that was submitted: what committed before an
act that excludes others stands before it in the log, and what committed after it, after.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select

from audit import merkle, staging, tree_rows
from audit.bulk import BulkInsert, Prepared, SelectByKeys
from audit.checkpoint import Checkpoint, check_origin
from audit.database import Connection, Database
from audit.leaf import (
    Entry,
    Opening,
    SealedEntry,
    key_id_of,
    open_ciphertext,
    parse_payload,
    seal_entries,
)
from audit.sequencer import Sequencer
from audit.shredding import NO_SUBJECT, DataKeys, Erasure
from audit.subject_index import SubjectIndex
from audit.tables import (
    audit_head,
    audit_leaf,
    audit_payload,
    create_audit_schema,
    metadata,
)
from audit.tiles import TileCache
from protocols.errors import InvalidInput, NotFound

__all__ = [
    "Appended",
    "AuditLog",
    "Head",
    "LeafNotFound",
    "StoredLeaf",
    "Submitted",
    "create_audit_schema",
    "metadata",
]

WAIT_S = 10.0

_INSERT_LEAVES = BulkInsert(audit_leaf)
_INSERT_PAYLOADS = BulkInsert(audit_payload)
_HEAD = Prepared(select(audit_head.c.size, audit_head.c.root))
_LEAVES = Prepared(
    select(audit_leaf.c.seq, audit_leaf.c.leaf, audit_leaf.c.leaf_hash)
    .where(audit_leaf.c.seq >= bindparam("start"), audit_leaf.c.seq < bindparam("stop"))
    .order_by(audit_leaf.c.seq)
)
_SEALED = SelectByKeys(
    lambda seqs: (
        select(audit_leaf.c.seq, audit_leaf.c.leaf, audit_payload.c.ciphertext)
        .join(audit_payload, audit_payload.c.seq == audit_leaf.c.seq)
        .where(audit_leaf.c.seq.in_(seqs))
    )
)


class LeafNotFound(NotFound):
    """The log has no leaf with this sequence number."""

    code = "leaf_not_found"


class Appended(NamedTuple):
    """Where an entry stands in the log; valid once the caller's transaction commits."""

    seq: int
    leaf_hash: bytes


class Submitted(NamedTuple):
    """An entry that commits with the caller's transaction; its leaf's hash names it.

    `seq` is None where it gets its number after that.
    """

    leaf_hash: bytes
    seq: int | None


class StoredLeaf(NamedTuple):
    """One leaf as stored."""

    seq: int
    leaf: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Size and root of the tree."""

    size: int
    root: bytes


class AuditLog:
    """One append-only log.

    Every method that reads takes an optional `connection`; without one it reads its own snapshot
    of what is committed.

    Attributes:
        origin: the log's name in its checkpoints.
        sequencer: gives numbers to what was submitted; whoever serves for long starts and stops it.
            None where the writer does that itself.
    """

    def __init__(
        self, origin: str, database: Database, data_keys: DataKeys, index_key: bytes
    ) -> None:
        """Open a log whose schema exists (`create_audit_schema`).

        Args:
            origin: name of the log in its checkpoints, for example `credence.example/bank-a`.
            database: the database of the business tables.
            data_keys: where payload keys live, in another database.
            index_key: 32 bytes; keys the subject index.
        """
        self.origin = check_origin(origin)
        self.sequencer = Sequencer(database) if database.numbers_later else None
        self._database = database
        self._data_keys = data_keys
        self._index = SubjectIndex(index_key)
        self._tiles = TileCache()

    # -- writing

    def append(self, connection: Connection, entry: Entry) -> Appended:
        """Append one entry inside the caller's write transaction; see `append_many`."""
        return self.append_many(connection, [entry])[0]

    def append_many(self, connection: Connection, entries: Sequence[Entry]) -> list[Appended]:
        """Append entries in order inside the caller's write transaction, with one head update.

        Raises:
            InvalidInput: an entry cannot be written; then none is, and the transaction is as it
                was before.
        """
        _require_write(connection, alone=True)
        return self._append(connection, entries)

    def submit(self, connection: Connection, entries: Sequence[Entry]) -> list[Submitted]:
        """Let entries commit with the caller's write transaction, which may be a parallel one.

        Raises:
            InvalidInput: as `append_many`.
        """
        _require_write(connection, alone=False)
        if self.sequencer is None:
            return [Submitted(one.leaf_hash, one.seq) for one in self._append(connection, entries)]
        sealed = self._seal(entries)
        tags = [
            None if entry.subject is None else self._index.tag(entry.subject) for entry in entries
        ]
        staging.stage(
            connection,
            [(item.leaf, item.ciphertext, tag) for item, tag in zip(sealed, tags, strict=True)],
        )
        return [Submitted(merkle.leaf_hash(item.leaf), None) for item in sealed]

    def wait(self, submitted: Sequence[Submitted], timeout_s: float = WAIT_S) -> list[Appended]:
        """Where submitted entries stand, once the transaction that submitted them has committed.

        Raises:
            NotNumbered: one has no number after `timeout_s` seconds. It will have one: the act and
                its entry are committed.
        """
        found: dict[bytes, int] = {}
        pending = [one.leaf_hash for one in submitted if one.seq is None]
        if pending and self.sequencer is not None:
            found = self.sequencer.wait(pending, timeout_s)
        return [
            Appended(found[one.leaf_hash] if one.seq is None else one.seq, one.leaf_hash)
            for one in submitted
        ]

    def erase(
        self, connection: Connection, subject: bytes, *, actor: str, at_ms: int
    ) -> tuple[Erasure, Appended]:
        """Make every payload about `subject` unreadable for good, and log that it was done.

        Destroys the data keys, drops the subject's index rows and appends `erasure.performed`.
        Leaves, ciphertexts and proofs stay. The keys go first and at once: should the caller's
        transaction then fail, they are gone all the same, and erasing again logs it; the log
        never claims an erasure that did not happen. Holding the write lock meanwhile keeps other
        processes from appending under a key that is being destroyed.
        """
        _require_write(connection, alone=True)
        self._number_submitted(connection)  # also what is about the subject
        tree_rows.locked_frontier(connection)
        erasure = self._data_keys.erase(subject)
        rows = self._index.drop(connection, subject)
        entry = Entry(
            kind="erasure.performed",
            actor=actor,
            purpose="",
            correlation="",
            payload={"keys": erasure.keys, "leaves": rows},
            subject=None,
            at_ms=at_ms,
        )
        return erasure, self.append(connection, entry)

    # -- reading

    def head(self, connection: Connection | None = None) -> Head:
        """Size and root."""
        with self._reading(connection) as reader:
            ((size, root),) = _HEAD.rows(reader)
        return Head(size, bytes(root))

    def leaves(self, connection: Connection, start: int, stop: int) -> Iterator[StoredLeaf]:
        """The leaves start <= seq < stop in order, streamed from `connection`'s snapshot."""
        rows = _LEAVES.stream(connection, start=start, stop=stop)
        return map(StoredLeaf._make, rows)

    def payload(self, seq: int, connection: Connection | None = None) -> dict[str, Any]:
        """The decrypted payload of one leaf.

        Raises:
            LeafNotFound: no such leaf.
            PayloadErased: its key was destroyed.
            SignatureInvalid: the stored ciphertext was changed.
        """
        return parse_payload(self.opening(seq, connection).payload)

    def opening(self, seq: int, connection: Connection | None = None) -> Opening:
        """What shows a third party the payload behind one leaf, without any key.

        Raises:
            LeafNotFound, PayloadErased, SignatureInvalid: as `payload`.
        """
        query = (
            select(audit_leaf.c.leaf, audit_payload.c.ciphertext)
            .join(audit_payload, audit_payload.c.seq == audit_leaf.c.seq)
            .where(audit_leaf.c.seq == seq)
        )
        with self._reading(connection) as reader:
            row = reader.execute(query).one_or_none()
        if row is None:
            raise LeafNotFound(f"the log has no leaf {seq}")
        key = self._data_keys.key(key_id_of(row.ciphertext))
        return open_ciphertext(row.leaf, row.ciphertext, key)

    def payloads(
        self, seqs: Sequence[int], connection: Connection | None = None
    ) -> dict[int, dict[str, Any]]:
        """The decrypted payloads of leaves, by sequence number; an erased one is absent.

        Raises:
            SignatureInvalid: a stored ciphertext was changed.
        """
        with self._reading(connection) as reader:
            rows = list(_SEALED(reader, sorted(set(seqs))))
        keys = self._data_keys.keys_of(key_id_of(ciphertext) for _, _, ciphertext in rows)
        return {
            seq: parse_payload(open_ciphertext(leaf, ciphertext, key).payload)
            for seq, leaf, ciphertext in rows
            if (key := keys.get(key_id_of(ciphertext))) is not None
        }

    def about(self, subject: bytes, connection: Connection | None = None) -> list[int]:
        """Sequence numbers of the leaves about `subject`, in order; none after erasure."""
        with self._reading(connection) as reader:
            return self._index.about(reader, subject)

    def newest_about(
        self,
        subject: bytes,
        *,
        before: int | None = None,
        limit: int,
        connection: Connection | None = None,
    ) -> list[StoredLeaf]:
        """Up to `limit` leaves about `subject`, the newest first, all before leaf `before`."""
        with self._reading(connection) as reader:
            return [StoredLeaf(*row) for row in self._index.newest(reader, subject, before, limit)]

    def is_about(self, seq: int, subject: bytes, connection: Connection | None = None) -> bool:
        """Whether leaf `seq` is about `subject`."""
        with self._reading(connection) as reader:
            return self._index.holds(reader, subject, seq)

    # -- proving

    def inclusion_proof(
        self, seq: int, size: int, connection: Connection | None = None
    ) -> list[bytes]:
        """Proof that leaf `seq` is in the tree of `size` leaves (RFC 9162 section 2.1.3).

        Raises:
            InvalidInput: not seq < size <= the log's size.
        """
        with self._reading(connection) as reader:
            self._require_size(reader, size)
            return merkle.inclusion_proof(seq, size, tree_rows.nodes(reader, self._tiles))

    def consistency_proof(
        self, old: int, new: int, connection: Connection | None = None
    ) -> list[bytes]:
        """Proof that the tree of `new` leaves continues that of `old` (RFC 9162 section 2.1.4).

        Raises:
            InvalidInput: not 0 < old <= new <= the log's size.
        """
        with self._reading(connection) as reader:
            self._require_size(reader, new)
            return merkle.consistency_proof(old, new, tree_rows.nodes(reader, self._tiles))

    def checkpoint(self) -> Checkpoint:
        """The committed head under the log's name, ready to be signed."""
        head = self.head()
        return Checkpoint(origin=self.origin, size=head.size, root=head.root)

    # -- inside

    def _reading(self, connection: Connection | None) -> AbstractContextManager[Connection]:
        return self._database.read() if connection is None else nullcontext(connection)

    def _require_size(self, connection: Connection, size: int) -> None:
        have = self.head(connection).size
        if size > have:
            raise InvalidInput(f"the log has {have} leaves, not {size}")

    def _append(self, connection: Connection, entries: Sequence[Entry]) -> list[Appended]:
        if not entries:
            return []
        self._number_submitted(connection)
        frontier = tree_rows.locked_frontier(connection)
        sealed = self._seal(entries)
        hashes = [merkle.leaf_hash(item.leaf) for item in sealed]
        first = frontier.size
        _INSERT_LEAVES(
            connection,
            [
                (seq, item.leaf, leaf_hash)
                for seq, (item, leaf_hash) in enumerate(zip(sealed, hashes, strict=True), first)
            ],
        )
        _INSERT_PAYLOADS(
            connection, [(seq, item.ciphertext) for seq, item in enumerate(sealed, first)]
        )
        self._index.add(connection, [entry.subject for entry in entries], first)
        tree_rows.grow(connection, frontier, hashes)
        return [Appended(seq, leaf_hash) for seq, leaf_hash in enumerate(hashes, first)]

    def _seal(self, entries: Sequence[Entry]) -> list[SealedEntry]:
        pairs = [(entry.subject or NO_SUBJECT, entry.purpose) for entry in entries]
        keys = self._data_keys.keys_for(pairs)
        return seal_entries(entries, [keys[pair] for pair in pairs])

    def _number_submitted(self, connection: Connection) -> None:
        if self.sequencer is not None:
            staging.integrate_all(connection)


def _require_write(connection: Connection, *, alone: bool) -> None:
    options = connection.get_execution_options()
    if not options.get("credence_write", False):
        raise RuntimeError("the audit log is written inside Database.write() only")
    if alone and options.get("credence_parallel", False):
        raise RuntimeError("a parallel act has no number yet: submit, and wait after the commit")
