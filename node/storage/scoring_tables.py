"""What stands around scores: products, inputs that are kept for a while, jobs and their lines."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from node.storage.tables import metadata

# What a client may ask for under a name; client_id "" is for every client.
score_product = Table(
    "score_product",
    metadata,
    Column("client_id", String(40), primary_key=True),
    Column("product", String(40), primary_key=True),
    Column("purposes", String(60), nullable=False),  # space separated
    Column("mandatory", String(1000), nullable=False),  # member ids, space separated
    Column("may_skip", Boolean, nullable=False),  # whether a mandatory holder may be absent
    Column("max_age_s", BigInteger, nullable=True),  # of signals released before; null: their life
)

# What a score was computed from, sealed under the person's data key; gone with its data life, or
# with the score. Whose it is, and under which consent, the score's row says.
score_input = Table(
    "score_input",
    metadata,
    Column(
        "score_id", String(40), ForeignKey("score.score_id", ondelete="CASCADE"), primary_key=True
    ),
    Column("key_id", LargeBinary(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index("ix_score_input_expiry", "expires_at_ms"),
)

# Scores that are made later: of one subject (a request) or of many (a batch).
score_job = Table(
    "score_job",
    metadata,
    Column("job_id", String(40), primary_key=True),
    Column("client_id", String(40), nullable=False),
    Column("kind", String(8), nullable=False),  # request | batch
    Column("state", String(12), nullable=False),  # see node.scoring.job_states
    Column("purpose", String(16), nullable=False),
    Column("product", String(40), nullable=False),
    Column("language", String(8), nullable=False),
    Column("total", Integer, nullable=False),
    Column("scored", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("deadline_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=True),
    Column("idempotency_key", String(64), nullable=True),
    Column("request_sha256", LargeBinary(32), nullable=False),
    UniqueConstraint("client_id", "idempotency_key"),
    Index("ix_score_job_state", "state", "kind", "created_at_ms"),
)

score_job_line = Table(
    "score_job_line",
    metadata,
    Column("job_id", String(40), primary_key=True),
    Column("line", Integer, primary_key=True),  # from 1
    Column("subject_ref", String(40), nullable=False),
    Column("consent_id", String(40), nullable=False),
    Column("score_id", String(40), nullable=True),
    Column("code", String(64), nullable=True),  # why there is none; both null: not yet
    Index("ix_score_job_line_subject", "subject_ref"),
)
