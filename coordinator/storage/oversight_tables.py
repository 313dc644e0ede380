"""Regulators at the coordinator: accounts, what opens them, and their sessions.

Of a token only the SHA-256 is kept.
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, String, Table

from coordinator.storage.tables import metadata

regulator = Table(
    "regulator",
    metadata,
    Column("regulator_id", String(40), primary_key=True),
    Column("login", String(40), nullable=False, unique=True),
    Column("name", String(120), nullable=False),
    Column("user_handle", LargeBinary(32), nullable=False, unique=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("closed_at_ms", BigInteger, nullable=True),
)

regulator_passkey = Table(
    "regulator_passkey",
    metadata,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("regulator_id", String(40), ForeignKey("regulator.regulator_id"), nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("label", String(60), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Index("ix_regulator_passkey_owner", "regulator_id"),
)

# Links that let a regulator make a passkey (`enrols`), and open sessions.
regulator_token = Table(
    "regulator_token",
    metadata,
    Column("token_sha256", LargeBinary(32), primary_key=True),
    Column("regulator_id", String(40), ForeignKey("regulator.regulator_id"), nullable=False),
    Column("enrols", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
)

# Challenges that were answered, until they would have ended.
regulator_challenge = Table(
    "regulator_challenge",
    metadata,
    Column("challenge_sha256", LargeBinary(32), primary_key=True),
    Column("expires_at_ms", BigInteger, nullable=False),
)
