"""Outcomes that clients reported of scores; a correction is a new version beside the old one."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from node.storage.tables import metadata

reported_outcome = Table(
    "reported_outcome",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("outcome_id", String(40), nullable=False),  # the same for all versions
    Column("version", Integer, nullable=False),
    Column("score_id", String(40), nullable=False),
    Column("client_id", String(40), nullable=False),
    Column("subject_ref", String(40), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("label", Integer, nullable=True),  # 1: default, 0: none; None: it teaches nothing
    Column("as_of_ms", BigInteger, nullable=False),
    Column("reported_at_ms", BigInteger, nullable=False),
    Column("scored_at_ms", BigInteger, nullable=False),
    Column("pd", Float, nullable=True),  # that the score gave; None: it gave none
    Column("model", String(40), nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    UniqueConstraint("score_id", "version"),
    Index("ix_reported_outcome_client", "client_id", "seq"),
    Index("ix_reported_outcome_subject", "subject_ref"),
)
