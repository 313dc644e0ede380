"""Tables of webhooks: where clients want to be told, what they are told, how it went."""

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

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("endpoint_id", String(40), primary_key=True),
    Column("client_id", String(40), nullable=False),
    Column("url", String(500), nullable=False),
    Column("types", Text, nullable=False),  # space separated and sorted; empty: every type
    Column("state", String(16), nullable=False),  # active | disabled | deleted
    Column("disabled_for", String(40), nullable=False, default=""),  # stable code; empty: it is not
    Column("failing_since_ms", BigInteger, nullable=True),  # of an unbroken run of failures
    Column("created_at_ms", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    Index("ix_webhook_endpoint_client", "client_id"),
)

# An endpoint's signing keys, sealed under the node's key-encryption key. A replaced one signs
# beside its successor until `until_ms`.
webhook_key = Table(
    "webhook_key",
    metadata,
    Column("endpoint_id", String(40), ForeignKey("webhook_endpoint.endpoint_id"), primary_key=True),
    Column("public", LargeBinary(32), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=True),  # None: it was not replaced
)

# What was said to a client, kept for replay. `consent_id`: it is told only while that one stands.
webhook_message = Table(
    "webhook_message",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("message_id", String(40), nullable=False, unique=True),
    Column("client_id", String(40), nullable=False),
    Column("type", String(64), nullable=False),
    Column("body", Text, nullable=False),  # the bytes that are sent and signed
    Column("consent_id", String(40), nullable=True),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_webhook_message_client", "client_id", "at_ms"),
    Index("ix_webhook_message_age", "at_ms"),
    Index("ix_webhook_message_consent", "consent_id"),
)

# One message to one endpoint; a replay is a row of its own.
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("delivery_id", String(40), nullable=False, unique=True),
    Column("message_id", String(40), ForeignKey("webhook_message.message_id"), nullable=False),
    Column("endpoint_id", String(40), ForeignKey("webhook_endpoint.endpoint_id"), nullable=False),
    Column("state", String(16), nullable=False),  # pending | delivered | failed | withheld
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Index("ix_webhook_delivery_due", "state", "due_at_ms"),
    Index("ix_webhook_delivery_endpoint", "endpoint_id", "seq"),
    Index("ix_webhook_delivery_message", "message_id"),
)

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column("attempt_id", Integer, primary_key=True, autoincrement=True),
    Column("delivery_id", String(40), ForeignKey("webhook_delivery.delivery_id"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("ms", Integer, nullable=False),  # how long it took
    Column("status", Integer, nullable=True),  # of HTTP; None: no answer
    Column("failure", String(40), nullable=False, default=""),  # stable code; empty: it went well
    Index("ix_webhook_attempt_delivery", "delivery_id"),
)
