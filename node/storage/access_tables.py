"""Tables of the API's access: keys of clients, what may be shown once, quotas, repeated calls."""

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
    UniqueConstraint,
)

from node.storage.tables import metadata

# Public keys of clients; a row stays when its key was rotated out, so that it never comes back.
client_key = Table(
    "client_key",
    metadata,
    Column("client_id", String(40), ForeignKey("api_client.client_id"), primary_key=True),
    Column("kid", String(96), primary_key=True),
    Column("thumbprint", String(43), nullable=False),
    Column("jwk", Text, nullable=False),  # canonical JSON, public
    Column("added_at_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=True),  # null: until it is rotated out
    UniqueConstraint("client_id", "thumbprint"),
)

# Client assertions that were shown, until they would be refused for their age.
spent_assertion = Table(
    "spent_assertion",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
    Index("ix_spent_assertion_until", "until_ms"),
)

# Calls of a UTC day that a client has made, or that the process has set aside for it.
client_usage = Table(
    "client_usage",
    metadata,
    Column("client_id", String(40), primary_key=True),
    Column("day", Integer, primary_key=True),  # days since 1970-01-01
    Column("calls", BigInteger, nullable=False),
)

# Calls with an Idempotency-Key: written before they act, and again with what was answered.
keyed_call = Table(
    "keyed_call",
    metadata,
    Column("client_id", String(40), primary_key=True),
    Column("idempotency_key", String(64), primary_key=True),
    Column("request_sha256", LargeBinary(32), nullable=False),
    Column("begun_at_ms", BigInteger, nullable=False),
    Column("status", Integer, nullable=True),  # null: not answered yet
    Column("headers", Text, nullable=True),  # JSON
    Column("body", LargeBinary, nullable=True),
    Index("ix_keyed_call_begun", "begun_at_ms"),
)
