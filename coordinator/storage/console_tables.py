"""Who may look at the operator's console: one-time links and the sessions they opened.

Of a token only the SHA-256 is kept.
"""

from sqlalchemy import BigInteger, Column, LargeBinary, String, Table

from coordinator.storage.tables import metadata

console_link = Table(
    "console_link",
    metadata,
    Column("token_sha256", LargeBinary(32), primary_key=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("used_at_ms", BigInteger, nullable=True),
)

console_session = Table(
    "console_session",
    metadata,
    Column("token_sha256", LargeBinary(32), primary_key=True),
    Column("session_id", String(40), nullable=False, unique=True),
    Column("agent", String(80), nullable=False),  # browser and system, coarsely
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
)
