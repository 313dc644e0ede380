"""Tables of retention: legal holds, and the runs that deleted what was due."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table, Text

from node.storage.tables import metadata

# A hold is on one person (`pseudonym`) or on everybody, on one class of records or on all (empty).
legal_hold = Table(
    "legal_hold",
    metadata,
    Column("hold_id", String(40), primary_key=True),
    Column("pseudonym", LargeBinary(32), nullable=True),
    Column("record_class", String(24), nullable=False),
    Column("authority", Text, nullable=False),  # who asks, and the file's number
    Column("placed_by", String(128), nullable=False),
    Column("placed_at_ms", BigInteger, nullable=False),
    Column("released_by", String(128), nullable=False),
    Column("released_at_ms", BigInteger, nullable=True),
    Index("ix_legal_hold_open", "released_at_ms"),
)

retention_run = Table(
    "retention_run",
    metadata,
    Column("run_id", String(40), primary_key=True),
    Column("actor", String(128), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("counts", Text, nullable=False),  # JSON: class -> [acted on, held back]
    Index("ix_retention_run_at", "at_ms"),
)
