"""The log in its database.

`append` runs inside the caller's write transaction, so that an act and its leaf commit together
or not at all. The head row is read under the write lock (`BEGIN IMMEDIATE`; a row lock on
PostgreSQL), so that any number of processes may append to one log. Checkpoints are made of
committed heads only: a signed head can never be lost.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update

from audit import merkle, tiles
from audit.bulk import BulkInsert, Prepared, SelectByKeys
from audit.checkpoint import Checkpoint, check_origin
from audit.database import Connection, Database
from audit.leaf import (
    Entry,
    Opening,
    key_id_of,
    open_ciphertext,
    parse_payload,
    seal_entries,
)
from audit.shredding import NO_SUBJECT, DataKeys, Erasure
from audit.tables import (
    audit_head,
    audit_leaf,
    audit_payload,
    audit_subject_index,
    audit_tile,
    create_audit_schema,
    metadata,
)
from protocols.errors import InvalidInput, NotFound

__all__ = [
    "Appended",
    "AuditLog",
    "Head",
    "LeafNotFound",
    "StoredLeaf",
    "create_audit_schema",
    "metadata",
]

_INSERT_LEAVES = BulkInsert(audit_leaf)
_INSERT_PAYLOADS = BulkInsert(audit_payload)
_INSERT_INDEX = BulkInsert(audit_subject_index)
# Built once: for one leaf, building a statement costs more than running it.
_LOCKED_HEAD = Prepared(select(audit_head.c.size, audit_head.c.frontier).with_for_update())
_UPDATE_HEAD = Prepared(
    update(audit_head).values(
        size=bindparam("new_size"), root=bindparam("new_root"), frontier=bindparam("new_frontier")
    )
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
        if len(index_key) != 32:
            raise InvalidInput("the audit index key must have 32 bytes")
        self.origin = check_origin(origin)
        self._database = database
        self._data_keys = data_keys
        self._tags = hmac.new(index_key, b"credence/1|audit-subject|", "sha256")

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
        _require_write(connection)
        if not entries:
            return []
        pairs = [(entry.subject or NO_SUBJECT, entry.purpose) for entry in entries]
        frontier = _locked_frontier(connection)
        keys = self._data_keys.keys_for(pairs)
        sealed = seal_entries(entries, [keys[pair] for pair in pairs])
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
        self._index(connection, entries, first)
        grown = frontier.extend(hashes)
        _store_tiles(connection, first, hashes)
        _UPDATE_HEAD.run(
            connection,
            new_size=grown.size,
            new_root=grown.root(),
            new_frontier=grown.to_bytes(),
        )
        return [Appended(seq, leaf_hash) for seq, leaf_hash in enumerate(hashes, first)]

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
        _require_write(connection)
        _locked_frontier(connection)
        erasure = self._data_keys.erase(subject)
        rows = connection.execute(
            delete(audit_subject_index).where(audit_subject_index.c.tag == self._tag(subject))
        ).rowcount
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
            row = reader.execute(select(audit_head.c.size, audit_head.c.root)).one()
        return Head(size=row.size, root=row.root)

    def leaves(self, connection: Connection, start: int, stop: int) -> Iterator[StoredLeaf]:
        """The leaves start <= seq < stop in order, streamed from `connection`'s snapshot."""
        query = (
            select(audit_leaf.c.seq, audit_leaf.c.leaf, audit_leaf.c.leaf_hash)
            .where(audit_leaf.c.seq >= start, audit_leaf.c.seq < stop)
            .order_by(audit_leaf.c.seq)
            .execution_options(yield_per=1024)
        )
        return (StoredLeaf(*row) for row in connection.execute(query))

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
        query = (
            select(audit_subject_index.c.seq)
            .where(audit_subject_index.c.tag == self._tag(subject))
            .order_by(audit_subject_index.c.seq)
        )
        with self._reading(connection) as reader:
            return list(reader.execute(query).scalars())

    def newest_about(
        self,
        subject: bytes,
        *,
        before: int | None = None,
        limit: int,
        connection: Connection | None = None,
    ) -> list[StoredLeaf]:
        """Up to `limit` leaves about `subject`, the newest first, all before leaf `before`."""
        index = audit_subject_index.c
        query = (
            select(audit_leaf.c.seq, audit_leaf.c.leaf, audit_leaf.c.leaf_hash)
            .join(audit_subject_index, index.seq == audit_leaf.c.seq)
            .where(index.tag == self._tag(subject))
            .order_by(index.seq.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(index.seq < before)
        with self._reading(connection) as reader:
            return [StoredLeaf(*row) for row in reader.execute(query)]

    def is_about(self, seq: int, subject: bytes, connection: Connection | None = None) -> bool:
        """Whether leaf `seq` is about `subject`."""
        query = select(audit_subject_index.c.seq).where(
            audit_subject_index.c.tag == self._tag(subject), audit_subject_index.c.seq == seq
        )
        with self._reading(connection) as reader:
            return reader.execute(query).first() is not None

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
            return merkle.inclusion_proof(seq, size, _nodes(reader))

    def consistency_proof(
        self, old: int, new: int, connection: Connection | None = None
    ) -> list[bytes]:
        """Proof that the tree of `new` leaves continues that of `old` (RFC 9162 section 2.1.4).

        Raises:
            InvalidInput: not 0 < old <= new <= the log's size.
        """
        with self._reading(connection) as reader:
            self._require_size(reader, new)
            return merkle.consistency_proof(old, new, _nodes(reader))

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

    def _index(self, connection: Connection, entries: Sequence[Entry], first: int) -> None:
        tags = [
            (self._tag(entry.subject), seq)
            for seq, entry in enumerate(entries, first)
            if entry.subject is not None
        ]
        _INSERT_INDEX(connection, [(tag, seq, index_guard(tag, seq)) for tag, seq in tags])

    def _tag(self, subject: bytes) -> bytes:
        mac = self._tags.copy()
        mac.update(subject)
        return mac.digest()


def index_guard(tag: bytes, seq: int) -> bytes:
    """Checksum of an index row, 8 bytes, so that a verifier without any key sees it damaged."""
    return hashlib.sha256(b"credence/1|audit-index|" + seq.to_bytes(8, "big") + tag).digest()[:8]


def _require_write(connection: Connection) -> None:
    if not connection.get_execution_options().get("credence_write", False):
        raise RuntimeError("the audit log is written inside Database.write() only")


def _locked_frontier(connection: Connection) -> merkle.Frontier:
    """The head, with its row locked until the transaction ends (a no-op on SQLite)."""
    ((size, frontier),) = _LOCKED_HEAD.rows(connection)
    return merkle.Frontier.from_bytes(size, frontier)


def _store_tiles(connection: Connection, old: int, new_hashes: Sequence[bytes]) -> None:
    """Store the tiles that became full, lowest level first: a tile's root is its parent's hash."""
    start, added, level = old, list(new_hashes), 0
    while full := tiles.completed(start, start + len(added)):
        # Hashes from the first new tile's beginning on: those stored before, then the new ones.
        begin = full.start * tiles.TILE_WIDTH
        row = [*_level_hashes(connection, level, begin, start), *added]
        made = [
            b"".join(row[at : at + tiles.TILE_WIDTH])
            for at in range(0, len(full) * tiles.TILE_WIDTH, tiles.TILE_WIDTH)
        ]
        roots = [tiles.tile_root(hashes) for hashes in made]
        connection.execute(
            insert(audit_tile),
            [
                {"level": level, "idx": index, "hashes": hashes, "root": root}
                for index, hashes, root in zip(full, made, roots, strict=True)
            ],
        )
        start, added, level = full.start, roots, level + 1


def _nodes(connection: Connection) -> tiles.TileNodes:
    def hashes(level: int, index: int) -> bytes:
        query = select(audit_tile.c.hashes).where(
            audit_tile.c.level == level, audit_tile.c.idx == index
        )
        stored: bytes | None = connection.execute(query).scalar_one_or_none()
        if stored is not None:
            return stored
        start = index * tiles.TILE_WIDTH
        return b"".join(_level_hashes(connection, level, start, start + tiles.TILE_WIDTH))

    return tiles.TileNodes(hashes)


def _level_hashes(connection: Connection, level: int, start: int, stop: int) -> Sequence[bytes]:
    """The hashes start <= i < stop of one tile level that exist: leaf hashes, or tile roots."""
    if start >= stop:
        return ()
    if level == 0:
        column, at = audit_leaf.c.leaf_hash, audit_leaf.c.seq
        query = select(column)
    else:
        column, at = audit_tile.c.root, audit_tile.c.idx
        query = select(column).where(audit_tile.c.level == level - 1)
    return connection.execute(query.where(at >= start, at < stop).order_by(at)).scalars().all()
