"""Tables of accounts: people at the portal and staff at the desk, kept apart by `realm`.

No secret stands here in clear: a password is an argon2id hash, codes and session tokens are keyed
or plain hashes of random values, a TOTP seed is sealed under the node's key-encryption key. No
name or identifier of a person stands here either: an account knows its `subject_ref`.
"""

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

# `login` is the subject_ref of a person, the sign-in name of a member of staff.
account = Table(
    "account",
    metadata,
    Column("account_id", String(40), primary_key=True),
    Column("realm", String(8), nullable=False),  # portal | desk
    Column("login", String(64), nullable=False),
    Column("name", String(120), nullable=False),  # of staff, for colleagues; empty for people
    Column("roles", String(120), nullable=False),  # of staff, space separated; empty for people
    Column("language", String(8), nullable=False),
    Column("user_handle", LargeBinary(32), nullable=False, unique=True),  # names it to passkeys
    Column("created_at_ms", BigInteger, nullable=False),
    Column("closed_at_ms", BigInteger, nullable=True),
    Column("password_hash", String(255), nullable=True),
    Column("totp_sealed", LargeBinary, nullable=True),
    Column("totp_step", BigInteger, nullable=False, default=0),  # newest step that was used
    UniqueConstraint("realm", "login"),
)

passkey = Table(
    "passkey",
    metadata,
    Column("credential_id", LargeBinary(1023), primary_key=True),
    Column("account_id", String(40), ForeignKey("account.account_id"), nullable=False),
    Column("public_key", LargeBinary, nullable=False),  # COSE
    Column("sign_count", BigInteger, nullable=False),
    Column("aaguid", String(40), nullable=False),
    Column("backed_up", Boolean, nullable=False),
    Column("label", String(60), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("used_at_ms", BigInteger, nullable=False),
    Index("ix_passkey_account", "account_id"),
)

# Each opens the account once in place of a TOTP code; a row goes when its code is used.
recovery_code = Table(
    "recovery_code",
    metadata,
    Column("account_id", String(40), ForeignKey("account.account_id"), primary_key=True),
    Column("code_tag", LargeBinary(32), primary_key=True),
)

# What the institution hands to a person or a member of staff to open their account; one a login.
activation = Table(
    "activation",
    metadata,
    Column("realm", String(8), primary_key=True),
    Column("login", String(64), primary_key=True),
    Column("code_tag", LargeBinary(32), nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("tries_left", Integer, nullable=False),
)

# The token is the browser's alone; here stands its SHA-256.
web_session = Table(
    "web_session",
    metadata,
    Column("token_sha256", LargeBinary(32), primary_key=True),
    Column("session_id", String(40), nullable=False, unique=True),
    Column("account_id", String(40), ForeignKey("account.account_id"), nullable=False),
    Column("realm", String(8), nullable=False),
    Column("method", String(16), nullable=False),
    Column("second_factor", Boolean, nullable=False),
    Column("agent", String(60), nullable=False),  # browser and system, for the list of sessions
    Column("created_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("fresh_until_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index("ix_web_session_account", "account_id"),
    Index("ix_web_session_expiry", "expires_at_ms"),
)

# Challenges and states of ours that were answered: none is answered twice.
spent_challenge = Table(
    "spent_challenge",
    metadata,
    Column("tag", LargeBinary(32), primary_key=True),
    Column("expires_at_ms", BigInteger, nullable=False),
    Index("ix_spent_challenge_expiry", "expires_at_ms"),
)

# Attempts to sign in, by keyed hashes of what was given as a name and of the address.
sign_in_attempt = Table(
    "sign_in_attempt",
    metadata,
    Column("attempt_id", String(40), primary_key=True),
    Column("name_tag", LargeBinary(32), nullable=False),
    Column("address_tag", LargeBinary(32), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_sign_in_attempt_name", "name_tag", "at_ms"),
    Index("ix_sign_in_attempt_address", "address_tag", "at_ms"),
    Index("ix_sign_in_attempt_time", "at_ms"),
)
