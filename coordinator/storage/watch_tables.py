"""What keeps a model watched: schedules, what watches found, alerts."""

from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, String, Table, Text

from coordinator.storage.tables import metadata

# What is proposed without anybody asking: one row a kind of campaign.
schedule = Table(
    "schedule",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("interval_ms", BigInteger, nullable=False),
    Column("gap_ms", BigInteger, nullable=False),
    Column("template", Text, nullable=False),  # JSON: what its plans are made from
    Column("on_drift", Integer, nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("campaign_id", String(40), nullable=False),  # proposed last; empty: none yet
    Column("settled", Integer, nullable=False),  # whether its end has been taken into account
    Column("failures", Integer, nullable=False),  # in a row
    Column("detail", Text, nullable=False),  # of the last failure
)

# What a watch found, signed like a document; never changed.
watch_result = Table(
    "watch_result",
    metadata,
    Column("campaign_id", String(40), primary_key=True),
    Column("bundle_version", String(40), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# One row an alert; there is at most one that is not cleared for a rule and what it is about.
watch_alert = Table(
    "watch_alert",
    metadata,
    Column("alert_id", String(40), primary_key=True),
    Column("rule", String(40), nullable=False),
    Column("about", String(120), nullable=False),
    Column("state", String(16), nullable=False),
    Column("tone", String(8), nullable=False),
    Column("number", Float, nullable=True),
    Column("detail", Text, nullable=False),
    Column("raised_at_ms", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
)
