"""Tables of secure aggregation: what a campaign's masks follow from, and the signed views.

The secret stands sealed under the node's key-encryption key and is deleted when another campaign
begins: past sums then cannot be opened from this database, whoever holds its keys later.
"""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table

from node.storage.tables import metadata

masking_campaign = Table(
    "masking_campaign",
    metadata,
    Column("campaign_id", String(40), primary_key=True),
    Column("plan_sha256", LargeBinary(32), nullable=False),
    Column("secret", LargeBinary, nullable=False),  # sealed
    Column("announcements", LargeBinary, nullable=False),  # as fixed, verified; or empty
    Column("reveals", LargeBinary, nullable=False),
    Column("deals", LargeBinary, nullable=False),  # those of our neighbours
    Column("dealers", LargeBinary, nullable=False),  # canonical JSON
    Column("at_ms", BigInteger, nullable=False),
)

# One view a round, for good: a second one is a primary key violation.
masking_view = Table(
    "masking_view",
    metadata,
    Column("campaign_id", String(40), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
