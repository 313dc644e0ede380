"""The node's tables (SQLAlchemy Core). The audit log's tables stand in `audit/store.py`.

Pseudonyms, hashes and keys are bytes; times are UTC milliseconds since the epoch (`*_at_ms`).
Append-only tables (`consent_event`, `release`, `privacy_charge`) are protected by triggers that
the first migration creates.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# Signed documents of the network, newest version per kind is in force; never rolled back.
document = Table(
    "document",
    metadata,
    Column("kind", String(16), primary_key=True),  # directory | catalogue | ceremony | release
    Column("version", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
)

# People this institution knows. `customer_id` is the institution's own and never travels.
subject = Table(
    "subject",
    metadata,
    Column("pseudonym", LargeBinary(32), primary_key=True),
    Column("subject_ref", String(40), nullable=False, unique=True),
    Column("customer_id", String(64), nullable=False, unique=True),
    Column("enrolled_at_ms", BigInteger, nullable=False),
)

# Signals: this node's own (source = its member id, purpose "own") and those fetched from holders,
# kept apart by the purpose they were released for. `signals` is JSON {signal id: [status, value]};
# fetched rows expire with the consent's data life.
signal_vector = Table(
    "signal_vector",
    metadata,
    Column("pseudonym", LargeBinary(32), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("purpose", String(16), primary_key=True),  # own | score | train | monitor
    Column("as_of_ms", BigInteger, nullable=False),
    Column("catalogue_version", Integer, nullable=False),
    Column("signals", Text, nullable=False),
    Column("consent_id", String(40), nullable=True),
    Column("expires_at_ms", BigInteger, nullable=True),
    Index("ix_signal_vector_consent", "consent_id"),  # a withdrawal deletes by it
    # By source and purpose; training asks before each round whether any of this changed.
    Index(
        "ix_signal_vector_source",
        *("purpose", "source", "as_of_ms", "expires_at_ms", "catalogue_version"),
    ),
)

# Known outcomes (1 = default), the training label.
outcome = Table(
    "outcome",
    metadata,
    Column("pseudonym", LargeBinary(32), primary_key=True),
    Column("label", Integer, nullable=False),
    Column("observed_at_ms", BigInteger, nullable=False),
)

# Consents this node keeps, as consent node (controller), holder or recipient: the version in
# force. Lists are space separated and sorted ("score train"), so that a decision needs this row
# alone; the artefact stays beside them as the evidence.
consent = Table(
    "consent",
    metadata,
    Column("consent_id", String(40), primary_key=True),
    Column("consent_hash", LargeBinary(32), nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    Column("pseudonym", LargeBinary(32), nullable=False),
    Column("auth_method", String(16), nullable=False),  # by what it speaks for the person
    Column("controller", String(64), nullable=False),  # member id of the consent node
    Column("state", String(16), nullable=False),
    Column("purposes", String(64), nullable=False),
    Column("recipients", Text, nullable=False),  # member ids
    Column("holders", Text, nullable=False),  # member ids
    Column("data_categories", Text, nullable=False),  # source classes
    Column("grants", Text, nullable=False),  # "recipient:purpose:class,class ..."; empty: all alike
    Column("artefact", LargeBinary, nullable=False),  # general JWS JSON
    Column("valid_from_ms", BigInteger, nullable=False),
    Column("valid_until_ms", BigInteger, nullable=False),
    Column("data_life_s", BigInteger, nullable=False),
    Column("max_epsilon", Float, nullable=True),  # the most a training run may spend
    Column("max_uses", Integer, nullable=False),
    Column("uses", Integer, nullable=False, default=0),
    Column("event_at_ms", BigInteger, nullable=False),  # time the last signed event states
    Column("changed_seq", BigInteger, nullable=False),  # audit seq of the last change
    Index("ix_consent_pseudonym", "pseudonym"),
    Index("ix_consent_state", "state", "valid_until_ms"),
    Index("ix_consent_changed", "changed_seq"),
)

# Versions of a consent that a newer one replaced; no release is decided on them any more.
consent_superseded = Table(
    "consent_superseded",
    metadata,
    Column("consent_hash", LargeBinary(32), primary_key=True),
    Column("consent_id", String(40), ForeignKey("consent.consent_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("artefact", LargeBinary, nullable=False),
    Column("superseded_at_ms", BigInteger, nullable=False),
    Index("ix_consent_superseded_consent", "consent_id"),
)

# Withdrawals that overtook their consent: an artefact that arrives later is refused.
consent_tombstone = Table(
    "consent_tombstone",
    metadata,
    Column("consent_id", String(40), primary_key=True),
    Column("controller", String(64), primary_key=True),
    Column("evidence", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# What happened to a consent, in order.
consent_event = Table(
    "consent_event",
    metadata,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("consent_id", String(40), ForeignKey("consent.consent_id"), nullable=False),
    Column("event", String(16), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    Column("evidence", LargeBinary, nullable=True),  # the JWS; None: the artefact, or time alone
    Index("ix_consent_event_consent", "consent_id"),
)

# Events still to be delivered to a holder or recipient; a row goes when the party acknowledges.
consent_outbox = Table(
    "consent_outbox",
    metadata,
    Column("event_id", Integer, ForeignKey("consent_event.event_id"), primary_key=True),
    Column("member_id", String(64), primary_key=True),
    Column("consent_id", String(40), nullable=False),
    Column("rank", Integer, nullable=False),  # 0: ends a consent, goes first; 1: the rest
    Column("due_at_ms", BigInteger, nullable=False),  # later than now: refused, to be retried
    Column("refusals", Integer, nullable=False, default=0),
    Index("ix_consent_outbox_order", "member_id", "rank", "event_id"),
    Index("ix_consent_outbox_consent", "consent_id"),
)

# Signed acknowledgements of an event by the parties it was delivered to.
acknowledgement = Table(
    "acknowledgement",
    metadata,
    Column("event_id", Integer, ForeignKey("consent_event.event_id"), primary_key=True),
    Column("member_id", String(64), primary_key=True),
    Column("refusal", String(40), nullable=False, default=""),
    Column("effective_at_ms", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

# One-use nonces of requests; identical bytes get the cached answer, other bytes a refusal.
nonce = Table(
    "nonce",
    metadata,
    Column("sender", String(64), primary_key=True),
    Column("nonce", LargeBinary(16), primary_key=True),
    Column("request_hash", LargeBinary(32), nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index("ix_nonce_expiry", "expires_at_ms"),
)

# Every release of signals, on the holder's side ("out") and on the recipient's ("in").
release = Table(
    "release",
    metadata,
    Column("release_id", Integer, primary_key=True, autoincrement=True),
    Column("direction", String(3), nullable=False),
    Column("request_id", String(40), nullable=False),
    Column("consent_id", String(40), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("refusal", String(40), nullable=False, default=""),
    Column("signal_count", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    Index("ix_release_consent", "consent_id"),
)

# The privacy ledger: every mechanism run on this node's people, written before its result leaves.
privacy_charge = Table(
    "privacy_charge",
    metadata,
    Column("charge_id", Integer, primary_key=True, autoincrement=True),
    Column("population", String(64), nullable=False),
    Column("campaign_id", String(40), nullable=False),
    Column("round", Integer, nullable=False),
    Column("mechanism", String(32), nullable=False),
    Column("noise_multiplier", Float, nullable=False),
    Column("own_noise_multiplier", Float, nullable=False),  # of this node alone
    Column("sampling_rate", Float, nullable=False),
    Column("epsilon_after", Float, nullable=False),
    Column("epsilon_alone_after", Float, nullable=False),
    Column("delta", Float, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    UniqueConstraint("population", "campaign_id", "round", "mechanism"),
)

# The set of consents a round drew from, by the Merkle root of their sorted hashes.
cohort = Table(
    "cohort",
    metadata,
    Column("root", LargeBinary(32), primary_key=True),
    Column("size", Integer, nullable=False),
    Column("consent_hashes", LargeBinary, nullable=False),  # sorted, 32 bytes each
    Column("at_ms", BigInteger, nullable=False),
)

training_round = Table(
    "training_round",
    metadata,
    Column("campaign_id", String(40), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("cohort_root", LargeBinary(32), ForeignKey("cohort.root"), nullable=False),
    Column("model_hash", LargeBinary(32), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
)

# Campaigns this node agreed to take part in. The cohort count is noised once and kept: drawing it
# again for a repeated plan would spend privacy again.
training_campaign = Table(
    "training_campaign",
    metadata,
    Column("campaign_id", String(40), primary_key=True),
    Column("plan_sha256", LargeBinary(32), nullable=False),
    Column("plan", LargeBinary, nullable=False),
    Column("cohort_band", Integer, nullable=False),
    Column("refusal", String(40), nullable=False, default=""),
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
)

# The newest noised result of a campaign, so that a repeated message gets the same bytes.
training_reply = Table(
    "training_reply",
    metadata,
    Column("campaign_id", String(40), primary_key=True),
    Column("round", Integer, nullable=False),
    Column("model_hash", LargeBinary(32), nullable=False),
    Column("result", LargeBinary, nullable=False),  # int64, little-endian
    Column("epsilon", Float, nullable=False),
)

# Signed model bundles; one is active, and one at most is scored in its shadow.
bundle = Table(
    "bundle",
    metadata,
    Column("version", String(40), primary_key=True),
    Column("manifest", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("tensors", LargeBinary, nullable=False),
    Column("active", Boolean, nullable=False, default=False),
    Column("shadow", Boolean, nullable=False, default=False),
    Column("received_at_ms", BigInteger, nullable=False),
)

score = Table(
    "score",
    metadata,
    Column("score_id", String(40), primary_key=True),
    Column("subject_ref", String(40), nullable=False),
    Column("consent_id", String(40), nullable=False),
    Column("client_id", String(40), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("result", Text, nullable=False),  # the API's answer as JSON
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    # A repeated request with the same key gets this row's answer, a different one a refusal.
    Column("idempotency_key", String(64), nullable=True),
    Column("request_sha256", LargeBinary(32), nullable=False),
    UniqueConstraint("client_id", "idempotency_key"),
    # A person's are found by their consents: an index over people would be one more page to write
    # for every score.
    Index("ix_score_consent", "consent_id", "at_ms"),
)

# Financing platforms that may call this node's API.
api_client = Table(
    "api_client",
    metadata,
    Column("client_id", String(40), primary_key=True),
    Column("name", String(120), nullable=False, unique=True),
    Column("token_sha256", LargeBinary(32), nullable=True, unique=True),  # of a plain token
    Column("scopes", String(200), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger, nullable=True),
    Column("generation", Integer, nullable=False, default=0),  # of access tokens in force
    # Its own limits; null: the node's.
    Column("rate", Float, nullable=True),  # calls a second
    Column("burst", Integer, nullable=True),
    Column("daily_quota", BigInteger, nullable=True),
)

# A trustee's shares of pseudonym keys, sealed under the node's key-encryption key.
key_share = Table(
    "key_share",
    metadata,
    Column("ceremony_id", String(40), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("share_index", Integer, nullable=False),  # in the sharing, from 1
    Column("sealed", LargeBinary, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

# How many elements a trustee has evaluated for each member on a UTC day.
evaluation_count = Table(
    "evaluation_count",
    metadata,
    Column("requester", String(64), primary_key=True),
    Column("day", Integer, primary_key=True),  # days since 1970-01-01
    Column("elements", BigInteger, nullable=False),
)

# Pseudonyms this node has asked for, by a keyed hash of the identifier: who was enrolled once is
# not asked for again. Rows of one `cache_key` are one person's pseudonyms of different epochs.
enrolled = Table(
    "enrolled",
    metadata,
    Column("epoch", Integer, primary_key=True),
    Column("cache_key", LargeBinary(32), primary_key=True),
    Column("pseudonym", LargeBinary(32), nullable=False),
    Index("ix_enrolled_pseudonym", "pseudonym"),
    Index("ix_enrolled_cache_key", "cache_key"),
)

# Epochs whose pseudonyms this node has used in its own tables; the newest row is in force.
enrolment_epoch = Table(
    "enrolment_epoch",
    metadata,
    Column("epoch", Integer, primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
)
