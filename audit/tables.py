"""The log's tables, and the triggers that keep them append-only.

They stand in the same database as the business tables, because an act and its leaf commit in one
transaction. The triggers stop a program that errs; who may drop triggers can still rewrite
history, and is caught by the verifier and by the checkpoints that others hold.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    MetaData,
    Table,
    insert,
    select,
)

from audit.bulk import Blob
from audit.database import Connection
from audit.merkle import EMPTY_ROOT

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

# Full tiles only: 256 hashes side by side, and their root.
audit_tile = Table(
    "audit_tile",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", _Seq, primary_key=True, autoincrement=False),
    Column("hashes", Blob(8192), nullable=False),
    Column("root", Blob(32), nullable=False),
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


def create_audit_schema(connection: Connection) -> None:
    """Create the log's tables, its empty head and the triggers; does nothing where they exist.

    For a migration: `create_audit_schema(op.get_bind())`. The caller commits.
    """
    metadata.create_all(connection)
    for table, refused in _REFUSED.items():
        for operation, condition in refused.items():
            for statement in _trigger(connection.dialect.name, table, operation, condition):
                connection.exec_driver_sql(statement)
        if connection.dialect.name == "postgresql" and "DELETE" in refused:
            connection.exec_driver_sql(_truncate_trigger(table))
    if connection.execute(select(audit_head.c.id)).first() is None:
        empty = {"id": 1, "size": 0, "root": EMPTY_ROOT, "frontier": b""}
        connection.execute(insert(audit_head), empty)


def _trigger(dialect: str, table: str, operation: str, condition: str) -> list[str]:
    name = f"{table}_{operation.lower()}_refused"
    message = f"{table} is append-only"
    if dialect == "sqlite":
        guard = f"WHEN {condition} BEGIN SELECT RAISE(ABORT, '{message}'); END"
        return [f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {operation} ON {table} {guard}"]
    # PostgreSQL: a trigger's WHEN takes no subquery, so that the function decides.
    refuse = f"IF {condition} THEN RAISE EXCEPTION '{message}' USING ERRCODE = '23000'; END IF"
    body = f"BEGIN {refuse}; RETURN {'OLD' if operation == 'DELETE' else 'NEW'}; END"
    when = f"BEFORE {operation} ON {table} FOR EACH ROW"
    return [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
        f"CREATE OR REPLACE TRIGGER {name} {when} EXECUTE FUNCTION {name}()",
    ]


def _truncate_trigger(table: str) -> str:
    """TRUNCATE fires no row trigger; the function that refuses DELETE refuses it too."""
    name = f"{table}_truncate_refused"
    when = f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT"
    return f"CREATE OR REPLACE TRIGGER {name} {when} EXECUTE FUNCTION {table}_delete_refused()"
