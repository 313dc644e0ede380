"""Accounts of people and staff, what opens them, and their activation codes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from audit.database import Connection
from node.storage.people_tables import account, activation, passkey, recovery_code


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account.

    Attributes:
        realm: `portal` (a person) or `desk` (staff).
        login: a person's subject_ref; a member of staff's sign-in name.
        name: of a member of staff, as colleagues see it; empty for people.
        roles: of a member of staff, space separated; empty for people.
        language: of the pages.
        user_handle: 32 random bytes by which passkeys know the account.
        closed_at_ms: since when nothing opens it; None: open.
        password_hash: argon2id in its text form; None: no password.
        totp_sealed: the seed, sealed; None: no authenticator app.
        totp_step: the newest 30 s step whose code was used.
    """

    account_id: str
    realm: str
    login: str
    name: str
    roles: str
    language: str
    user_handle: bytes
    created_at_ms: int
    closed_at_ms: int | None = None
    password_hash: str | None = None
    totp_sealed: bytes | None = None
    totp_step: int = 0


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """One passkey of an account; see `protocols.passkeys.Passkey`."""

    credential_id: bytes
    account_id: str
    public_key: bytes
    sign_count: int
    aaguid: str
    backed_up: bool
    label: str
    created_at_ms: int
    used_at_ms: int


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """A code that opens an account once; of the code only its keyed hash is kept."""

    realm: str
    login: str
    code_tag: bytes
    expires_at_ms: int
    tries_left: int


# -- accounts


def add(connection: Connection, row: AccountRow) -> None:
    """Store a new account."""
    connection.execute(insert(account).values(**_values(row)))


def find(connection: Connection, account_id: str) -> AccountRow | None:
    """The account by that id, or None."""
    return _account(connection, account.c.account_id == account_id)


def by_login(connection: Connection, realm: str, login: str) -> AccountRow | None:
    """The account of that login, closed or not, or None."""
    return _account(connection, account.c.realm == realm, account.c.login == login)


def every(connection: Connection, realm: str) -> list[AccountRow]:
    """All accounts of a realm, oldest first."""
    rows = connection.execute(
        select(account)
        .where(account.c.realm == realm)
        .order_by(account.c.created_at_ms, account.c.account_id)
    )
    return [AccountRow(**row) for row in rows.mappings()]


def set_roles(connection: Connection, account_id: str, roles: str) -> None:
    """Give a member of staff these roles and no others."""
    _change(connection, account_id, roles=roles)


def set_language(connection: Connection, account_id: str, language: str) -> None:
    """Set the language of the account's pages."""
    _change(connection, account_id, language=language)


def close(connection: Connection, account_id: str, at_ms: int) -> None:
    """Let nothing open the account from now on."""
    _change(connection, account_id, closed_at_ms=at_ms)


def reopen(connection: Connection, account_id: str) -> None:
    """Let a closed account be opened again."""
    _change(connection, account_id, closed_at_ms=None)


# -- password and authenticator app


def set_password(
    connection: Connection, account_id: str, password_hash: str, totp_sealed: bytes, totp_step: int
) -> None:
    """Replace password and seed; `totp_step` is the step whose code confirmed the seed."""
    _change(
        connection,
        account_id,
        password_hash=password_hash,
        totp_sealed=totp_sealed,
        totp_step=totp_step,
    )


def clear_password(connection: Connection, account_id: str) -> None:
    """Take away password, seed and recovery codes."""
    _change(connection, account_id, password_hash=None, totp_sealed=None, totp_step=0)
    set_recovery_codes(connection, account_id, ())


def rehash(connection: Connection, account_id: str, old: str, new: str) -> None:
    """Replace a password's hash by one of today's cost, unless the password changed meanwhile."""
    connection.execute(
        update(account)
        .where(account.c.account_id == account_id, account.c.password_hash == old)
        .values(password_hash=new)
    )


def use_totp_step(connection: Connection, account_id: str, step: int) -> bool:
    """Mark a step's code as used; False when it or a later one was already."""
    changed = connection.execute(
        update(account)
        .where(account.c.account_id == account_id, account.c.totp_step < step)
        .values(totp_step=step)
    )
    return changed.rowcount == 1


def set_recovery_codes(connection: Connection, account_id: str, tags: Iterable[bytes]) -> None:
    """Replace the recovery codes."""
    connection.execute(delete(recovery_code).where(recovery_code.c.account_id == account_id))
    rows = [{"account_id": account_id, "code_tag": tag} for tag in tags]
    if rows:
        connection.execute(insert(recovery_code), rows)


def use_recovery_code(connection: Connection, account_id: str, tag: bytes) -> bool:
    """Use up a recovery code; False when there is none like it."""
    gone = connection.execute(
        delete(recovery_code).where(
            recovery_code.c.account_id == account_id, recovery_code.c.code_tag == tag
        )
    )
    return gone.rowcount == 1


def recovery_codes_left(connection: Connection, account_id: str) -> int:
    """How many recovery codes are unused."""
    query = select(func.count()).where(recovery_code.c.account_id == account_id)
    return connection.execute(query).scalar_one()


# -- passkeys


def add_passkey(connection: Connection, row: PasskeyRow) -> None:
    """Store a new passkey."""
    connection.execute(insert(passkey).values(**_values(row)))


def find_passkey(connection: Connection, credential_id: bytes) -> PasskeyRow | None:
    """The passkey by that id, or None."""
    found = connection.execute(select(passkey).where(passkey.c.credential_id == credential_id))
    row = found.mappings().one_or_none()
    return None if row is None else PasskeyRow(**row)


def passkeys(connection: Connection, account_id: str) -> list[PasskeyRow]:
    """The passkeys of an account, oldest first."""
    rows = connection.execute(
        select(passkey)
        .where(passkey.c.account_id == account_id)
        .order_by(passkey.c.created_at_ms, passkey.c.credential_id)
    )
    return [PasskeyRow(**row) for row in rows.mappings()]


def use_passkey(
    connection: Connection, credential_id: bytes, before: int, after: int, at_ms: int
) -> bool:
    """Move a passkey's counter on; False when another use moved it meanwhile."""
    changed = connection.execute(
        update(passkey)
        .where(passkey.c.credential_id == credential_id, passkey.c.sign_count == before)
        .values(sign_count=after, used_at_ms=at_ms)
    )
    return changed.rowcount == 1


def remove_passkey(connection: Connection, account_id: str, credential_id: bytes) -> bool:
    """Take a passkey away; False when the account has none by that id."""
    gone = connection.execute(
        delete(passkey).where(
            passkey.c.account_id == account_id, passkey.c.credential_id == credential_id
        )
    )
    return gone.rowcount == 1


def remove_passkeys(connection: Connection, account_id: str) -> int:
    """Take all passkeys of an account away."""
    return connection.execute(delete(passkey).where(passkey.c.account_id == account_id)).rowcount


# -- activation codes


def put_activation(connection: Connection, row: ActivationRow) -> None:
    """Store a code in place of any earlier one of the same login."""
    drop_activation(connection, row.realm, row.login)
    connection.execute(insert(activation).values(**_values(row)))


def activation_of(connection: Connection, realm: str, login: str) -> ActivationRow | None:
    """The code that was issued for a login, or None."""
    found = connection.execute(
        select(activation).where(activation.c.realm == realm, activation.c.login == login)
    )
    row = found.mappings().one_or_none()
    return None if row is None else ActivationRow(**row)


def take_try(connection: Connection, realm: str, login: str) -> bool:
    """Use up one try at a code; False when none is left."""
    changed = connection.execute(
        update(activation)
        .where(
            activation.c.realm == realm,
            activation.c.login == login,
            activation.c.tries_left > 0,
        )
        .values(tries_left=activation.c.tries_left - 1)
    )
    return changed.rowcount == 1


def drop_activation(connection: Connection, realm: str, login: str) -> None:
    """Forget a code."""
    connection.execute(
        delete(activation).where(activation.c.realm == realm, activation.c.login == login)
    )


# -- inside


def _account(connection: Connection, *conditions: Any) -> AccountRow | None:
    row = connection.execute(select(account).where(*conditions)).mappings().one_or_none()
    return None if row is None else AccountRow(**row)


def _change(connection: Connection, account_id: str, **values: Any) -> None:
    connection.execute(update(account).where(account.c.account_id == account_id).values(**values))


def _values(row: Any) -> Mapping[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
