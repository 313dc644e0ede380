"""The table of models that this node keeps for its own decisions (models/baselines/kept.py)."""

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, String, Table

from node.storage.tables import metadata

own_model = Table(
    "own_model",
    metadata,
    Column("model_id", String(40), primary_key=True),
    Column("body", LargeBinary, nullable=False),  # canonical JSON, signed by this node
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("consents", LargeBinary, nullable=False),  # hashes it was made under, sorted and joined
    Column("changed_seq", BigInteger, nullable=False),  # no consent changed after it by then
    Column("data_until_ms", BigInteger, nullable=False),  # when a signal's data life runs out
    Column("active", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
