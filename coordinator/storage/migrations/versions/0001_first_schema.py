"""The first schema: members, documents, campaigns, bundles."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables as they stood at the first release."""
    _create_members()
    _create_campaigns()
    _create_ceremonies()
    _create_console()
    _create_oversight()
    _create_watch()
    _create_registry()


def _create_members() -> None:
    op.create_table(
        "invitation",
        sa.Column("invitation_id", sa.String(40), primary_key=True),
        sa.Column("token_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("member_id", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("licence_until_ms", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "member",
        sa.Column("member_id", sa.String(64), primary_key=True),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("certificate_der", sa.LargeBinary(), nullable=False),
        sa.Column("flower_node_id", sa.BigInteger(), nullable=False, unique=True),
        sa.Column("joined_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_version", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "document",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
    )


def _create_campaigns() -> None:
    op.create_table(
        "campaign",
        sa.Column("campaign_id", sa.String(40), primary_key=True),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("bundle_version", sa.String(40), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("held_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("deadline_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False),
    )
    op.create_table(
        "campaign_member",
        sa.Column(
            "campaign_id", sa.String(40), sa.ForeignKey("campaign.campaign_id"), primary_key=True
        ),
        sa.Column("member_id", sa.String(64), primary_key=True),
        sa.Column("refusal", sa.String(40), nullable=False),
        sa.Column("cohort_band", sa.Integer(), nullable=False),
    )
    op.create_table(
        "campaign_round",
        sa.Column(
            "campaign_id", sa.String(40), sa.ForeignKey("campaign.campaign_id"), primary_key=True
        ),
        sa.Column("round", sa.Integer(), primary_key=True),
        sa.Column("loss", sa.Float(), nullable=True),
        sa.Column("epsilon", sa.Float(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("participants", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "campaign_part",
        sa.Column(
            "campaign_id", sa.String(40), sa.ForeignKey("campaign.campaign_id"), primary_key=True
        ),
        sa.Column("member_id", sa.String(64), primary_key=True),
        sa.Column("rounds", sa.Integer(), nullable=False),
        sa.Column("last_failure", sa.String(40), nullable=False),
    )
    op.create_table(
        "member_ledger",
        sa.Column("member_id", sa.String(64), primary_key=True),
        sa.Column("charges", sa.BigInteger(), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "checkpoint",
        sa.Column(
            "campaign_id", sa.String(40), sa.ForeignKey("campaign.campaign_id"), primary_key=True
        ),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "campaign_masking",
        sa.Column(
            "campaign_id", sa.String(40), sa.ForeignKey("campaign.campaign_id"), primary_key=True
        ),
        sa.Column("announcements", sa.LargeBinary(), nullable=False),
        sa.Column("reveals", sa.LargeBinary(), nullable=False),
        sa.Column("deals", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "bundle",
        sa.Column("version", sa.String(40), primary_key=True),
        sa.Column("campaign_id", sa.String(40), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("tensors", sa.LargeBinary(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
    )


def _create_ceremonies() -> None:
    op.create_table(
        "ceremony",
        sa.Column("ceremony_id", sa.String(40), primary_key=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("round_ms", sa.Integer(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "ceremony_entry",
        sa.Column(
            "ceremony_id", sa.String(40), sa.ForeignKey("ceremony.ceremony_id"), primary_key=True
        ),
        sa.Column("round", sa.String(16), primary_key=True),
        sa.Column("member_id", sa.String(64), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )


def _create_console() -> None:
    op.create_table(
        "console_link",
        sa.Column("token_sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "console_session",
        sa.Column("token_sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("session_id", sa.String(40), nullable=False, unique=True),
        sa.Column("agent", sa.String(80), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
    )


def _create_registry() -> None:
    op.create_table(
        "model_move",
        sa.Column("move_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("before", sa.String(16), nullable=False),
        sa.Column("after", sa.String(16), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_model_move_version", "model_move", ["version", "move_id"])
    op.create_table(
        "member_model",
        sa.Column("member_id", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(40), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
    )


def _create_watch() -> None:
    op.create_table(
        "schedule",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("interval_ms", sa.BigInteger(), nullable=False),
        sa.Column("gap_ms", sa.BigInteger(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("on_drift", sa.Integer(), nullable=False),
        sa.Column("due_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("campaign_id", sa.String(40), nullable=False),
        sa.Column("settled", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_table(
        "watch_result",
        sa.Column("campaign_id", sa.String(40), primary_key=True),
        sa.Column("bundle_version", sa.String(40), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "watch_alert",
        sa.Column("alert_id", sa.String(40), primary_key=True),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("about", sa.String(120), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tone", sa.String(8), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raised_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_at_ms", sa.BigInteger(), nullable=False),
    )


def _create_oversight() -> None:
    owner = sa.ForeignKey("regulator.regulator_id")
    op.create_table(
        "regulator",
        sa.Column("regulator_id", sa.String(40), primary_key=True),
        sa.Column("login", sa.String(40), nullable=False, unique=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("user_handle", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "regulator_passkey",
        sa.Column("credential_id", sa.LargeBinary(), primary_key=True),
        sa.Column("regulator_id", sa.String(40), owner, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.String(60), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Index("ix_regulator_passkey_owner", "regulator_id"),
    )
    op.create_table(
        "regulator_token",
        sa.Column("token_sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column(
            "regulator_id", sa.String(40), sa.ForeignKey("regulator.regulator_id"), nullable=False
        ),
        sa.Column("enrols", sa.Boolean(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "regulator_challenge",
        sa.Column("challenge_sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
    )
