"""Tables of checkpoints and witnesses, on both sides; beside the log's, in the same database.

As a log: the checkpoints that this process signed, the cosignatures that it was given, and the
epochs of its log, each with an origin of its own. As a witness: the newest head of every log, and
evidence of forks.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from audit.bulk import Blob
from audit.database import Connection
from audit.triggers import protect

metadata = MetaData()

# One row an epoch: a log whose older state was put back goes on under a new origin. `last` is the
# last witnessed checkpoint of the epoch before; `confirmed_at_ms` is when an operator said why.
audit_epoch = Table(
    "audit_epoch",
    metadata,
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("origin", String(160), nullable=False, unique=True),
    Column("size", BigInteger, nullable=False),
    Column("last", Blob, nullable=False),
    Column("cause", String(40), nullable=False),
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("confirmed_at_ms", BigInteger, nullable=True),
    Column("reason", Text, nullable=False),
    CheckConstraint("epoch >= 1", name="ck_audit_epoch"),
)

# `witnessed` is the note with its cosignatures, once there are as many as the policy asks for.
audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("origin", String(160), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", Blob(32), nullable=False),
    Column("note", Blob, nullable=False),
    Column("signed_at_ms", BigInteger, nullable=False),
    Column("witnessed", Blob, nullable=True),
    Column("witnessed_at_ms", BigInteger, nullable=True),
)

# The newest cosignature of each witness under each checkpoint.
audit_cosignature = Table(
    "audit_cosignature",
    metadata,
    Column("origin", String(160), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("witness", String(255), primary_key=True),
    Column("line", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# What this process knows of the logs that it is a witness of.
witness_state = Table(
    "witness_state",
    metadata,
    Column("origin", String(160), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", Blob(32), nullable=False),
    Column("note", Blob, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

witness_evidence = Table(
    "witness_evidence",
    metadata,
    Column("sha256", Blob(32), primary_key=True),
    Column("origin", String(160), nullable=False),
    Column("body", Blob, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# What the database itself refuses, as SQL over OLD and NEW. A program that errs must not make this
# witness forget a head, nor this log one that it signed.
_REFUSED: dict[str, dict[str, str]] = {
    "audit_epoch": {
        "UPDATE": "NEW.epoch <> OLD.epoch OR NEW.origin <> OLD.origin OR NEW.size <> OLD.size"
        " OR NEW.last <> OLD.last OR OLD.confirmed_at_ms IS NOT NULL",
        "DELETE": "1 = 1",
        "INSERT": "EXISTS (SELECT 1 FROM audit_epoch WHERE epoch >= NEW.epoch)",
    },
    "audit_checkpoint": {
        "UPDATE": "NEW.origin <> OLD.origin OR NEW.size <> OLD.size OR NEW.root <> OLD.root",
        # A head goes only when a larger one of the same origin is witnessed.
        "DELETE": "NOT EXISTS (SELECT 1 FROM audit_checkpoint WHERE origin = OLD.origin"
        " AND size > OLD.size AND witnessed IS NOT NULL)",
        "INSERT": "EXISTS (SELECT 1 FROM audit_checkpoint"
        " WHERE origin = NEW.origin AND size >= NEW.size)",
    },
    "witness_state": {
        "UPDATE": "NEW.origin <> OLD.origin OR NEW.size < OLD.size"
        " OR (NEW.size = OLD.size AND NEW.root <> OLD.root)",
        "DELETE": "1 = 1",
        "INSERT": "EXISTS (SELECT 1 FROM witness_state WHERE origin = NEW.origin)",
    },
    "witness_evidence": {
        "UPDATE": "1 = 1",
        "DELETE": "1 = 1",
        "INSERT": "EXISTS (SELECT 1 FROM witness_evidence WHERE sha256 = NEW.sha256)",
    },
}


def create_witness_schema(connection: Connection) -> None:
    """Create the tables and their triggers; does nothing where they exist. The caller commits."""
    metadata.create_all(connection)
    protect(connection, _REFUSED, "may not be changed so")
