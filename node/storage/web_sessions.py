"""Sessions of browsers, challenges that were answered, attempts to sign in."""

from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from audit.database import Connection
from node.storage.people_tables import sign_in_attempt, spent_challenge, web_session


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session; of its token only the SHA-256 is kept.

    Attributes:
        session_id: its name in the list of sessions; opens nothing.
        method: how it was opened.
        second_factor: whether more than one thing was shown.
        agent: browser and system, as coarse as a person recognises them.
        seen_at_ms: of the last request, to within a minute.
        fresh_until_ms: until when the person counts as just having shown who they are.
        expires_at_ms: when it ends whatever happens.
    """

    token_sha256: bytes
    session_id: str
    account_id: str
    realm: str
    method: str
    second_factor: bool
    agent: str
    created_at_ms: int
    seen_at_ms: int
    fresh_until_ms: int
    expires_at_ms: int


# -- sessions


def add(connection: Connection, row: SessionRow) -> None:
    """Store a new session."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    connection.execute(insert(web_session).values(**values))


def find(connection: Connection, token_sha256: bytes) -> SessionRow | None:
    """The session of that token, ended by time or not, or None."""
    found = connection.execute(
        select(web_session).where(web_session.c.token_sha256 == token_sha256)
    )
    row = found.mappings().one_or_none()
    return None if row is None else SessionRow(**row)


def of_account(connection: Connection, account_id: str) -> list[SessionRow]:
    """The sessions of an account, the newest first."""
    rows = connection.execute(
        select(web_session)
        .where(web_session.c.account_id == account_id)
        .order_by(web_session.c.seen_at_ms.desc(), web_session.c.session_id)
    )
    return [SessionRow(**row) for row in rows.mappings()]


def touch(connection: Connection, token_sha256: bytes, at_ms: int) -> None:
    """Note that a session is in use."""
    connection.execute(
        update(web_session)
        .where(web_session.c.token_sha256 == token_sha256)
        .values(seen_at_ms=at_ms)
    )


def end(connection: Connection, token_sha256: bytes) -> bool:
    """End the session of that token; False when there was none."""
    gone = connection.execute(delete(web_session).where(web_session.c.token_sha256 == token_sha256))
    return gone.rowcount == 1


def end_one(connection: Connection, account_id: str, session_id: str) -> bool:
    """End one session of an account by its name; False when it has none such."""
    gone = connection.execute(
        delete(web_session).where(
            web_session.c.account_id == account_id, web_session.c.session_id == session_id
        )
    )
    return gone.rowcount == 1


def end_all(connection: Connection, account_id: str, *, but: str = "") -> int:
    """End the sessions of an account, but one by its name; how many there were."""
    gone = connection.execute(
        delete(web_session).where(
            web_session.c.account_id == account_id, web_session.c.session_id != but
        )
    )
    return gone.rowcount


# -- challenges


def spend(connection: Connection, tag: bytes, expires_at_ms: int) -> bool:
    """Mark a challenge as answered; False when it was already."""
    try:
        with connection.begin_nested():
            connection.execute(insert(spent_challenge).values(tag=tag, expires_at_ms=expires_at_ms))
    except IntegrityError:
        return False
    return True


# -- attempts


def add_attempt(
    connection: Connection, attempt_id: str, name_tag: bytes, address_tag: bytes, at_ms: int
) -> None:
    """Note an attempt to sign in."""
    connection.execute(
        insert(sign_in_attempt).values(
            attempt_id=attempt_id, name_tag=name_tag, address_tag=address_tag, at_ms=at_ms
        )
    )


def attempts_by_name(connection: Connection, name_tag: bytes, since_ms: int) -> int:
    """How many attempts named this account, or nobody by this name, since then."""
    query = select(func.count()).where(
        sign_in_attempt.c.name_tag == name_tag, sign_in_attempt.c.at_ms > since_ms
    )
    return connection.execute(query).scalar_one()


def attempts_from(connection: Connection, address_tag: bytes, since_ms: int) -> int:
    """How many attempts came from this address since then."""
    query = select(func.count()).where(
        sign_in_attempt.c.address_tag == address_tag, sign_in_attempt.c.at_ms > since_ms
    )
    return connection.execute(query).scalar_one()


def forget_attempt(connection: Connection, attempt_id: str) -> None:
    """The attempt succeeded: it does not count."""
    connection.execute(delete(sign_in_attempt).where(sign_in_attempt.c.attempt_id == attempt_id))


def forget_attempts_by_name(connection: Connection, name_tag: bytes) -> None:
    """The account was opened: failures before it no longer count."""
    connection.execute(delete(sign_in_attempt).where(sign_in_attempt.c.name_tag == name_tag))


# -- pruning


def prune(connection: Connection, now_ms: int, attempts_before_ms: int) -> None:
    """Drop what time has ended: sessions, answered challenges, attempts out of every window."""
    connection.execute(delete(web_session).where(web_session.c.expires_at_ms <= now_ms))
    connection.execute(delete(spent_challenge).where(spent_challenge.c.expires_at_ms <= now_ms))
    connection.execute(delete(sign_in_attempt).where(sign_in_attempt.c.at_ms <= attempts_before_ms))
