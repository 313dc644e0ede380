"""Tables of portfolio monitoring: what clients watch over, and what was noticed."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from node.storage.tables import metadata

monitor = Table(
    "monitor",
    metadata,
    Column("monitor_id", String(40), primary_key=True),
    Column("client_id", String(40), nullable=False),
    Column("subject_ref", String(40), nullable=False),
    Column("consent_id", String(40), nullable=False),
    Column("events", Text, nullable=False),  # space separated and sorted
    Column("thresholds", Text, nullable=False),  # JSON
    Column("state", String(16), nullable=False),  # active | ended
    Column("ended_for", String(40), nullable=False, default=""),  # stable code, or `by_client`
    Column("baseline", Text, nullable=True),  # JSON; what the next look is compared with
    Column("due_at_ms", BigInteger, nullable=False),
    Column("looked_at_ms", BigInteger, nullable=True),  # last time that something could be seen
    Column("hindered_by", String(40), nullable=False, default=""),  # code of the last look
    Column("created_at_ms", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    Index("ix_monitor_due", "state", "due_at_ms"),
    Index("ix_monitor_client", "client_id", "created_at_ms"),
    Index("ix_monitor_consent", "consent_id"),
    Index("ix_monitor_subject", "subject_ref"),
)

monitor_event = Table(
    "monitor_event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("event_id", String(40), nullable=False, unique=True),
    Column("monitor_id", String(40), ForeignKey("monitor.monitor_id"), nullable=False),
    Column("type", String(40), nullable=False),
    Column("detail", Text, nullable=False),  # JSON; empty once the consent has ended
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    Index("ix_monitor_event_monitor", "monitor_id", "seq"),
)

# What holders said of a person's lenders, blinded (`protocols.lender_tokens`), for monitoring.
lender_rows = Table(
    "lender_rows",
    metadata,
    Column("consent_id", String(40), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("rows", LargeBinary, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
)
