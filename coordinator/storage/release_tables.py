"""The model registry: every move of a version, and what members say they score with.

Releases themselves stand among the signed documents.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from coordinator.storage.tables import metadata

# A version's standing is that of its newest move; one without a move is published.
model_move = Table(
    "model_move",
    metadata,
    Column("move_id", Integer, primary_key=True, autoincrement=True),
    Column("serial", Integer, nullable=False),  # of the release that says so
    Column("version", String(40), nullable=False),
    Column("event", String(16), nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("who", String(64), nullable=False),
    Column("why", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_model_move_version", "version", "move_id"),
)

# What a member said when it last asked for the release, by its own word.
member_model = Table(
    "member_model",
    metadata,
    Column("member_id", String(64), primary_key=True),
    Column("version", String(40), nullable=False),  # empty: it scores with none
    Column("serial", Integer, nullable=False),  # of the release it holds; 0: none
    Column("since_ms", BigInteger, nullable=False),
)
