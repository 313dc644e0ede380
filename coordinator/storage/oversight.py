"""Regulators at the coordinator: accounts, passkeys, links and sessions."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from audit.database import Connection
from coordinator.storage.oversight_tables import (
    regulator,
    regulator_challenge,
    regulator_passkey,
    regulator_token,
)


@dataclass(frozen=True, slots=True)
class RegulatorRow:
    """One account; fields as the columns of `regulator`."""

    regulator_id: str
    login: str
    name: str
    user_handle: bytes
    created_at_ms: int
    closed_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """One passkey; fields as the columns of `regulator_passkey`."""

    credential_id: bytes
    regulator_id: str
    public_key: bytes
    sign_count: int
    label: str
    created_at_ms: int


def add(connection: Connection, row: RegulatorRow) -> None:
    """Store a new account."""
    values = {name: getattr(row, name) for name in RegulatorRow.__dataclass_fields__}
    connection.execute(insert(regulator).values(**values))


def by_login(connection: Connection, login: str) -> RegulatorRow | None:
    """The account by that sign-in name, closed ones too, or None."""
    row = connection.execute(select(regulator).where(regulator.c.login == login))
    found = row.mappings().one_or_none()
    return None if found is None else RegulatorRow(**found)


def find(connection: Connection, regulator_id: str) -> RegulatorRow | None:
    """The open account by that id, or None."""
    query = select(regulator).where(
        regulator.c.regulator_id == regulator_id, regulator.c.closed_at_ms.is_(None)
    )
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else RegulatorRow(**found)


def every(connection: Connection) -> list[RegulatorRow]:
    """All accounts, the oldest first."""
    rows = connection.execute(select(regulator).order_by(regulator.c.created_at_ms))
    return [RegulatorRow(**row) for row in rows.mappings()]


def close(connection: Connection, regulator_id: str, at_ms: int) -> None:
    """Close an account: its passkeys, links and sessions open nothing more."""
    connection.execute(
        update(regulator).where(regulator.c.regulator_id == regulator_id).values(closed_at_ms=at_ms)
    )
    drop_access(connection, regulator_id)


def drop_access(connection: Connection, regulator_id: str) -> None:
    """Take away an account's passkeys, links and sessions."""
    for table in (regulator_passkey, regulator_token):
        connection.execute(delete(table).where(table.c.regulator_id == regulator_id))


def add_passkey(connection: Connection, row: PasskeyRow) -> None:
    """Store a new passkey."""
    values = {name: getattr(row, name) for name in PasskeyRow.__dataclass_fields__}
    connection.execute(insert(regulator_passkey).values(**values))


def find_passkey(connection: Connection, credential_id: bytes) -> PasskeyRow | None:
    """A passkey by its credential id, or None."""
    query = select(regulator_passkey).where(regulator_passkey.c.credential_id == credential_id)
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else PasskeyRow(**found)


def passkeys(connection: Connection, regulator_id: str) -> list[PasskeyRow]:
    """An account's passkeys."""
    query = select(regulator_passkey).where(regulator_passkey.c.regulator_id == regulator_id)
    return [PasskeyRow(**row) for row in connection.execute(query).mappings()]


def count(connection: Connection, credential_id: bytes, sign_count: int) -> None:
    """Note a passkey's new counter."""
    connection.execute(
        update(regulator_passkey)
        .where(regulator_passkey.c.credential_id == credential_id)
        .values(sign_count=sign_count)
    )


def add_token(
    connection: Connection,
    token_sha256: bytes,
    regulator_id: str,
    created_at_ms: int,
    expires_at_ms: int,
    *,
    enrols: bool,
) -> None:
    """Store a link or a session."""
    connection.execute(
        insert(regulator_token).values(
            token_sha256=token_sha256,
            regulator_id=regulator_id,
            enrols=enrols,
            created_at_ms=created_at_ms,
            expires_at_ms=expires_at_ms,
        )
    )


def owner(
    connection: Connection, token_sha256: bytes, now_ms: int, *, enrols: bool
) -> RegulatorRow | None:
    """Whose open account a link or session is of, or None."""
    query = select(regulator_token.c.regulator_id).where(
        regulator_token.c.token_sha256 == token_sha256,
        regulator_token.c.enrols == enrols,
        regulator_token.c.expires_at_ms > now_ms,
    )
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else find(connection, found)


def end_token(connection: Connection, token_sha256: bytes) -> None:
    """End a link or a session."""
    connection.execute(
        delete(regulator_token).where(regulator_token.c.token_sha256 == token_sha256)
    )


def spend(connection: Connection, challenge_sha256: bytes, expires_at_ms: int) -> bool:
    """Write an answered challenge down; False when it was answered already."""
    try:
        with connection.begin_nested():
            connection.execute(
                insert(regulator_challenge).values(
                    challenge_sha256=challenge_sha256, expires_at_ms=expires_at_ms
                )
            )
    except IntegrityError:
        return False
    return True


def prune(connection: Connection, now_ms: int) -> None:
    """Drop what time has ended."""
    for table in (regulator_token, regulator_challenge):
        connection.execute(delete(table).where(table.c.expires_at_ms <= now_ms))
