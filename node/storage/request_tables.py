"""Tables of consents that an institution asked a person for."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, String, Table, Text

from node.storage.tables import metadata

# What stands beside a consent in state `requested`; it stays when the person has answered.
consent_request = Table(
    "consent_request",
    metadata,
    Column("consent_id", String(40), ForeignKey("consent.consent_id"), primary_key=True),
    Column("requested_by", String(64), nullable=False),  # who at the institution asked
    Column("message", Text, nullable=False),  # why, in words for the person
    Column("requested_at_ms", BigInteger, nullable=False),
    Column("lapses_at_ms", BigInteger, nullable=False),
    Index("ix_consent_request_lapse", "lapses_at_ms"),
)
