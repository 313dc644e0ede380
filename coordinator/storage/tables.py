"""The coordinator's tables (SQLAlchemy Core). It knows members and models, never people.

The audit log's tables stand in `audit/store.py`. Times are UTC milliseconds since the epoch.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

invitation = Table(
    "invitation",
    metadata,
    Column("invitation_id", String(40), primary_key=True),
    Column("token_sha256", LargeBinary(32), nullable=False),
    Column("member_id", String(64), nullable=False),
    Column("role", String(32), nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("used_at_ms", BigInteger, nullable=True),
    Column("licence_until_ms", BigInteger, nullable=True),
)

member = Table(
    "member",
    metadata,
    Column("member_id", String(64), primary_key=True),
    Column("entry", Text, nullable=False),  # JSON of the member's directory entry
    Column("certificate_der", LargeBinary, nullable=False),
    Column("flower_node_id", BigInteger, nullable=False, unique=True),
    Column("joined_at_ms", BigInteger, nullable=False),
    Column("last_seen_at_ms", BigInteger, nullable=True),
    Column("acknowledged_version", BigInteger, nullable=False),  # of the directory
)

# Signed documents (directory, catalogue), every version kept.
document = Table(
    "document",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

campaign = Table(
    "campaign",
    metadata,
    Column("campaign_id", String(40), primary_key=True),
    Column("plan", LargeBinary, nullable=False),  # canonical JSON, signed
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("detail", Text, nullable=False, default=""),  # why it failed or was aborted
    Column("bundle_version", String(40), nullable=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("finished_at_ms", BigInteger, nullable=True),
    Column("held_at_ms", BigInteger, nullable=True),  # since when an operator holds it
    Column("deadline_at_ms", BigInteger, nullable=True),  # as in the plan
    Column("kind", String(16), nullable=False, default="training"),  # or watch
)

campaign_member = Table(
    "campaign_member",
    metadata,
    Column("campaign_id", String(40), ForeignKey("campaign.campaign_id"), primary_key=True),
    Column("member_id", String(64), primary_key=True),
    Column("refusal", String(40), nullable=False, default=""),
    Column("cohort_band", Integer, nullable=False, default=0),
)

campaign_round = Table(
    "campaign_round",
    metadata,
    Column("campaign_id", String(40), ForeignKey("campaign.campaign_id"), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("loss", Float, nullable=True),  # differentially private, smoothed
    Column("epsilon", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("participants", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# In how many rounds of a campaign a member counted, and why it did not when it last did not.
campaign_part = Table(
    "campaign_part",
    metadata,
    Column("campaign_id", String(40), ForeignKey("campaign.campaign_id"), primary_key=True),
    Column("member_id", String(64), primary_key=True),
    Column("rounds", Integer, nullable=False),
    Column("last_failure", String(40), nullable=False),
)

# The newest statement of its privacy ledger that a member signed (protocols/ledger_statement.py).
member_ledger = Table(
    "member_ledger",
    metadata,
    Column("member_id", String(64), primary_key=True),
    Column("charges", BigInteger, nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# The last completed round of a campaign: what a killed coordinator resumes from.
checkpoint = Table(
    "checkpoint",
    metadata,
    Column("campaign_id", String(40), ForeignKey("campaign.campaign_id"), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),  # safetensors: weights, averages, moments
)

# What the members of a campaign agreed their masks with: signed, or sealed between members.
campaign_masking = Table(
    "campaign_masking",
    metadata,
    Column("campaign_id", String(40), ForeignKey("campaign.campaign_id"), primary_key=True),
    Column("announcements", LargeBinary, nullable=False),
    Column("reveals", LargeBinary, nullable=False),
    Column("deals", LargeBinary, nullable=False),
)

bundle = Table(
    "bundle",
    metadata,
    Column("version", String(40), primary_key=True),
    Column("campaign_id", String(40), nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("tensors", LargeBinary, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

# Key ceremonies. The board's entries are public; shares travel in them sealed to their receivers.
ceremony = Table(
    "ceremony",
    metadata,
    Column("ceremony_id", String(40), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("plan", LargeBinary, nullable=False),  # canonical JSON, signed
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("round_ms", Integer, nullable=False),
    Column("deadline_ms", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("key_version", Integer, nullable=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("finished_at_ms", BigInteger, nullable=True),
)

ceremony_entry = Table(
    "ceremony_entry",
    metadata,
    Column("ceremony_id", String(40), ForeignKey("ceremony.ceremony_id"), primary_key=True),
    Column("round", String(16), primary_key=True),
    Column("member_id", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
