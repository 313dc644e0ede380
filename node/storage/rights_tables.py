"""Tables of people's rights: requests and what happened to them, marks, notices, reports.

Texts that people wrote stand in `rights_request` alone, where an erasure can clear them;
`rights_event` is append-only and holds none.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
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

# What people asked for, at the desk of their institution (`origin` is this member) or, a dispute
# about an item furnished here, at another's (`origin` is that member).
rights_request = Table(
    "rights_request",
    metadata,
    Column("request_id", String(40), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(20), nullable=False),
    Column("pseudonym", LargeBinary(32), nullable=False),
    Column("origin", String(64), nullable=False),  # member id of the person's consent node
    Column("origin_request", String(40), nullable=False),  # its id there
    Column("source", String(64), nullable=False),  # member id of who furnished the item, or empty
    Column("signal", String(64), nullable=False),  # the item, or empty
    Column("about", String(40), nullable=False),  # a score or a request to be reviewed, or empty
    Column("text", Text, nullable=False),
    Column("statement", Text, nullable=False),
    Column("proposal", Text, nullable=False),  # JSON, while a second member of staff has to agree
    Column("finding", String(20), nullable=False),  # answered | corrected | rejected, or empty
    Column("outcome", Text, nullable=False),  # in writing
    Column("proposed_by", String(64), nullable=False),
    Column("decided_by", String(64), nullable=False),
    Column("taken_by", String(64), nullable=False),  # who reviews
    Column("opened_at_ms", BigInteger, nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=True),
    Column("once", String(64), nullable=True),  # a repeated form gets the same request
    UniqueConstraint("origin", "origin_request"),
    UniqueConstraint("pseudonym", "once"),
    Index("ix_rights_request_due", "ended_at_ms", "due_at_ms"),
)

rights_event = Table(
    "rights_event",
    metadata,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("request_id", String(40), ForeignKey("rights_request.request_id"), nullable=False),
    Column("event", String(24), nullable=False),
    Column("state", String(20), nullable=False),  # after it
    Column("actor", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    Index("ix_rights_event_request", "request_id"),
)

# What every answer about a person has to respect; read in each transaction that releases.
# kind: frozen | disputed | stated | restricted | erased | review.
subject_mark = Table(
    "subject_mark",
    metadata,
    Column("pseudonym", LargeBinary(32), primary_key=True),
    Column("kind", String(12), primary_key=True),
    Column("source", String(64), primary_key=True),  # member id of who furnished it, or empty
    Column("signal", String(64), primary_key=True),  # or empty: all of the source
    Column("cause", String(110), primary_key=True),  # member id, or that and the request's id
    Column("since_ms", BigInteger, nullable=False),
    Column("statement", Text, nullable=False),
)

# The newest word of each consent node on whether a person is frozen.
subject_freeze = Table(
    "subject_freeze",
    metadata,
    Column("pseudonym", LargeBinary(32), primary_key=True),
    Column("controller", String(64), primary_key=True),
    Column("state", String(8), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
)

# Notices for other members; a row goes when the member's signed answer is stored.
rights_outbox = Table(
    "rights_outbox",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("message_id", String(40), nullable=False, unique=True),
    Column("member_id", String(64), nullable=False),
    Column("pseudonym", LargeBinary(32), nullable=False),
    Column("request_id", String(40), nullable=False),  # or empty: a freeze
    Column("topic", String(16), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("due_at_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Index("ix_rights_outbox_order", "member_id", "seq"),
)

rights_told = Table(
    "rights_told",
    metadata,
    Column("message_id", String(40), primary_key=True),
    Column("member_id", String(64), nullable=False),
    Column("pseudonym", LargeBinary(32), nullable=False),
    Column("request_id", String(40), nullable=False),
    Column("topic", String(16), nullable=False),
    Column("body_sha256", LargeBinary(32), nullable=False),
    Column("refusal", String(64), nullable=False),
    Column("effective_at_ms", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Index("ix_rights_told_request", "request_id"),
    Index("ix_rights_told_person", "pseudonym"),
)

# Notices of other members that were acknowledged: the same again gets the same answer.
rights_heard = Table(
    "rights_heard",
    metadata,
    Column("sender", String(64), primary_key=True),
    Column("message_id", String(40), primary_key=True),
    Column("body_sha256", LargeBinary(32), nullable=False),
    Column("effective_at_ms", BigInteger, nullable=False),
)

# Reports given to people, counted by calendar year.
credit_report = Table(
    "credit_report",
    metadata,
    Column("pseudonym", LargeBinary(32), primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),  # from 1
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    Column("once", String(64), nullable=True),
    UniqueConstraint("pseudonym", "once"),
)

# What was corrected, from what, and why; applied again to vectors of the same time.
signal_correction = Table(
    "signal_correction",
    metadata,
    Column("correction_id", Integer, primary_key=True, autoincrement=True),
    Column("pseudonym", LargeBinary(32), nullable=False),
    Column("signal", String(64), nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),  # of the vector it corrects
    Column("old_status", Integer, nullable=False),
    Column("old_value", Float, nullable=False),
    Column("new_status", Integer, nullable=False),
    Column("new_value", Float, nullable=False),
    Column("request_id", String(40), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("leaf_seq", BigInteger, nullable=False),
    Index("ix_signal_correction_person", "pseudonym"),
)

OF_PEOPLE = (
    rights_request,
    subject_mark,
    subject_freeze,
    rights_outbox,
    rights_told,
    credit_report,
    signal_correction,
)
"""Tables with a pseudonym, which a change of pseudonyms renames."""
