"""Tables of consent status: indices, what the lists of other members say, what was deleted."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from node.storage.tables import metadata

# Where a status list speaks of a version of a consent: of the own list, what it says (`status`) and
# the audit leaf that changed it last; of another controller's, the index it gave with the delivery.
status_entry = Table(
    "status_entry",
    metadata,
    Column("consent_hash", LargeBinary(32), primary_key=True),
    Column("controller", String(64), nullable=False),
    Column("status_index", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("changed", BigInteger, nullable=False),
    UniqueConstraint("controller", "status_index"),
    Index("ix_status_entry_changed", "controller", "changed"),
)

# The newest list of each other controller: until when it proves anything, by the wall clock and by
# the time since this machine started, and how many consents of it are in doubt.
status_proof = Table(
    "status_proof",
    metadata,
    Column("controller", String(64), primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
    Column("until_elapsed_ms", BigInteger, nullable=False),
    Column("boot_id", String(36), nullable=False),
    Column("doubts", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("bits_sha256", LargeBinary(32), nullable=False),
)

# Its bits, and the signed head as evidence; apart, so that a decision reads neither.
status_list = Table(
    "status_list",
    metadata,
    Column("controller", String(64), primary_key=True),
    Column("head", LargeBinary, nullable=False),
    Column("bits", LargeBinary, nullable=False),  # compressed
)

# Consents in force here that the newest list does not call valid; nothing is released on them.
status_doubt = Table(
    "status_doubt",
    metadata,
    Column("consent_hash", LargeBinary(32), primary_key=True),
    Column("controller", String(64), nullable=False),
    Column("status_index", Integer, nullable=False),
    Column("listed", Integer, nullable=True),  # None: the list does not reach so far yet
    Index("ix_status_doubt_controller", "controller"),
)

# What this node deleted when a consent ended here; attested anew whenever that is asked.
deletion = Table(
    "deletion",
    metadata,
    Column("consent_hash", LargeBinary(32), primary_key=True),
    Column("consent_id", String(40), nullable=False),
    Column("signals", Integer, nullable=False),
    Column("scores", Integer, nullable=False),
    Column("answers", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_deletion_consent", "consent_id"),
)

# Of an acknowledgement that was received: when, by this node's own clock, and what the party says
# it deleted.
acknowledged = Table(
    "acknowledged",
    metadata,
    Column("event_id", Integer, ForeignKey("consent_event.event_id"), primary_key=True),
    Column("member_id", String(64), primary_key=True),
    Column("received_at_ms", BigInteger, nullable=False),
    Column("deletion", LargeBinary, nullable=True),
)
