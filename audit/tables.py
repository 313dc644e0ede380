"""The log's tables, and the triggers that keep them append-only.

They stand in the same database as the business tables, because an act and its leaf commit in one
transaction. The triggers stop a program that errs; who may drop triggers can still rewrite
history, and is caught by the verifier and by the checkpoints that others hold.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    insert,
    select,
)

from audit.bulk import Blob
from audit.database import Connection
from audit.merkle import EMPTY_ROOT
from audit.triggers import protect

metadata = MetaData()

# INTEGER PRIMARY KEY is SQLite's row id: sequence order is storage order.
_Seq = BigInteger().with_variant(Integer, "sqlite")

audit_leaf = Table(
    "audit_leaf",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    Column("leaf", Blob, nullable=False),
    Column("leaf_hash", Blob(32), nullable=False),
)

# Key id (16) || nonce || AES-256-GCM(salt || payload). Outlives its key: `ch` stays checkable.
audit_payload = Table(
    "audit_payload",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    Column("ciphertext", Blob, nullable=False),
)

# Full tiles only: their root, and the 256 hashes side by side. The root stands first: SQLite keeps
# a long row's end on pages of its own, and a proof asks for many roots and few tiles.
audit_tile = Table(
    "audit_tile",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", _Seq, primary_key=True, autoincrement=False),
    Column("root", Blob(32), nullable=False),
    Column("hashes", Blob(8192), nullable=False),
)

# One row: the tree as of the last commit.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", Blob(32), nullable=False),
    Column("frontier", Blob, nullable=False),
    CheckConstraint("id = 1", name="ck_audit_head_single"),
)

# Which leaves are about whom, by keyed tag. `guard` shows a blind verifier a damaged row.
audit_subject_index = Table(
    "audit_subject_index",
    metadata,
    Column("tag", Blob(32), primary_key=True),
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    Column("guard", Blob(8), nullable=False),
    sqlite_with_rowid=False,
)

# What a server database has besides, where several transactions append at once (`audit.sequencer`).
server_metadata = MetaData()

# Sealed entries of committed acts that have no number yet. `id` names a row and orders a batch: it
# is no number of the log, for a higher one may commit first.
audit_staging = Table(
    "audit_staging",
    server_metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("leaf", Blob, nullable=False),
    Column("ciphertext", Blob, nullable=False),
    Column("tag", Blob(32), nullable=True),
)

# One row: how many times somebody became the one who numbers entries. Who was before is refused.
audit_sequencer = Table(
    "audit_sequencer",
    server_metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="ck_audit_sequencer_single"),
)

# By its hash the one who staged a leaf finds its number; and no leaf is there twice.
_BY_HASH = Index("ix_audit_leaf_hash", audit_leaf.c.leaf_hash, unique=True).ddl_if(
    dialect="postgresql"
)

# Table -> when a change of that kind is refused; the condition is SQL over OLD and NEW.
# SQLite's INSERT OR REPLACE deletes without a delete trigger, hence the conditions on inserts.
_REFUSED: dict[str, dict[str, str]] = {
    "audit_leaf": {
        "UPDATE": "1 = 1",
        "DELETE": "1 = 1",
        "INSERT": "NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM audit_leaf)",
    },
    "audit_payload": {
        "UPDATE": "1 = 1",
        "DELETE": "1 = 1",
        "INSERT": "NEW.seq <> (SELECT coalesce(max(seq) + 1, 0) FROM audit_payload)",
    },
    "audit_tile": {
        "UPDATE": "1 = 1",
        "DELETE": "1 = 1",
        "INSERT": "NEW.idx <> (SELECT coalesce(max(idx) + 1, 0) FROM audit_tile"
        " WHERE level = NEW.level)",
    },
    "audit_head": {
        "UPDATE": "NEW.size <= OLD.size OR NEW.id <> OLD.id",
        "DELETE": "1 = 1",
        "INSERT": "EXISTS (SELECT 1 FROM audit_head)",
    },
    # Erasure deletes rows of the index; nothing changes one.
    "audit_subject_index": {"UPDATE": "1 = 1"},
}
# Staged rows are moved into the log, and changed by nobody.
_REFUSED_ON_A_SERVER: dict[str, dict[str, str]] = {
    "audit_staging": {"UPDATE": "1 = 1"},
    "audit_sequencer": {
        "UPDATE": "NEW.epoch <= OLD.epoch OR NEW.id <> OLD.id",
        "DELETE": "1 = 1",
    },
}


def create_audit_schema(connection: Connection) -> None:
    """Create the log's tables, its empty head and the triggers; does nothing where they exist.

    For a migration: `create_audit_schema(op.get_bind())`. The caller commits.
    """
    metadata.create_all(connection)
    protect(connection, _REFUSED)
    if connection.execute(select(audit_head.c.id)).first() is None:
        empty = {"id": 1, "size": 0, "root": EMPTY_ROOT, "frontier": b""}
        connection.execute(insert(audit_head), empty)
    if connection.dialect.name == "postgresql":
        server_metadata.create_all(connection)
        protect(connection, _REFUSED_ON_A_SERVER)
        if connection.execute(select(audit_sequencer.c.id)).first() is None:
            connection.execute(insert(audit_sequencer), {"id": 1, "epoch": 0})
