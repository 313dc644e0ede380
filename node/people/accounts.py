"""Accounts: made with a one-time code that the institution hands out, found, closed.

Whoever holds the code and the name it was issued for opens the account:

1. The try counts first, by name and by address, and against the code's own tries.
2. The code is compared as a keyed hash, in constant time, and has not ended.
3. It opens the account once; the session it gives may do nothing but add a passkey or a password.
4. When the account exists already, its owner has lost what opened it: all of that goes, and all
   its sessions end.

An unknown name, a name without a code, a wrong code and an ended one are one answer, after the
same statements.
"""

import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from audit.database import Connection, Database
from node.people.attempts import Attempts
from node.people.browser import Browser
from node.people.codes import ACTIVATION_CHARACTERS, new_code, read_code
from node.people.journal import Journal
from node.people.secrets import PeopleKeys
from node.people.sessions import DESK, PORTAL, Sessions
from node.storage import people, subjects, web_sessions
from node.storage.people import AccountRow, ActivationRow
from node.storage.subjects import UnknownSubject
from protocols.errors import CredenceError
from protocols.identifiers import new_id

ACTIVATION_TRIES = 5
ACTIVATION_LIFE_MS = 7 * 86_400_000


class ActivationRefused(CredenceError):
    """A name and a code that do not open an account together; which is wrong is not said."""

    code = "activation_refused"
    category = "unauthenticated"
    next_step = "Check the number and the code, or ask the institution for a new code."


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """An activation code; it is nowhere else.

    Attributes:
        code: to be handed to the person.
        expires_at_ms: until when it opens their account.
    """

    code: str = field(repr=False)
    expires_at_ms: int


class Accounts:
    """The accounts of one node."""

    def __init__(
        self,
        *,
        database: Database,
        keys: PeopleKeys,
        attempts: Attempts,
        sessions: Sessions,
        journal: Journal,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._keys = keys
        self._attempts = attempts
        self._sessions = sessions
        self._journal = journal
        self._clock = clock

    def issue_for_customer(self, customer_id: str) -> IssuedCode:
        """A code for a person whom the institution knows, in place of any earlier one.

        Raises:
            UnknownSubject: nobody has this customer id.
        """
        with self._database.write() as connection:
            login = subjects.by_customer(connection, customer_id).subject_ref
            return self.issue(connection, PORTAL, login)

    def issue(self, connection: Connection, realm: str, login: str) -> IssuedCode:
        """A code for a login, inside the caller's transaction."""
        now_ms = self._clock()
        code = new_code(ACTIVATION_CHARACTERS)
        row = ActivationRow(
            realm=realm,
            login=login,
            code_tag=self._tag(realm, login, code),
            expires_at_ms=now_ms + ACTIVATION_LIFE_MS,
            tries_left=ACTIVATION_TRIES,
        )
        people.put_activation(connection, row)
        self._journal.issued(connection, realm, login, now_ms)
        return IssuedCode(code, row.expires_at_ms)

    def activate(self, realm: str, name: str, code: str, browser: Browser) -> str:
        """Open an account with its code; the token of a session that may only add factors.

        Args:
            realm: `portal` or `desk`.
            name: a person's customer number; a member of staff's sign-in name.
            code: as typed.
            browser: who asks.

        Raises:
            ActivationRefused: they do not open an account together.
            TooManyAttempts: with this name or from this address.
        """
        attempt = self._attempts.begin(realm, f"activation {name}", browser.address)  # 1
        now_ms = self._clock()
        with self._database.write() as connection:
            login = login_of(connection, realm, name)
            if self._redeem(connection, realm, login, code, now_ms):
                self._attempts.succeeded(connection, attempt)
                account = self._opened(connection, realm, login, browser.language)
                return self._sessions.open(
                    connection, account, "activation", browser.agent, browser.token
                )
            known = people.by_login(connection, realm, login)
            self._journal.refused(connection, "activation.refused", realm, known, now_ms)
        raise ActivationRefused("the name and the code do not open an account")

    def of_customer(
        self, connection: Connection, customer_id: str, language: str
    ) -> AccountRow | None:
        """The account of a customer whom the institution itself vouches for; made when it is new.

        None when the institution knows no such customer, or closed the account.
        """
        try:
            login = subjects.by_customer(connection, customer_id).subject_ref
        except UnknownSubject:
            return None
        found = people.by_login(connection, PORTAL, login)
        if found is None:
            found = new_account(PORTAL, login, self._clock(), language=language)
            people.add(connection, found)
            self._journal.did(connection, "account.made", found, self._clock(), by="institution")
        return found if found.closed_at_ms is None else None

    def set_language(self, account_id: str, language: str) -> None:
        """Set the language of an account's pages."""
        with self._database.write() as connection:
            people.set_language(connection, account_id, language)

    def close(self, connection: Connection, account: AccountRow) -> None:
        """Let nothing open an account any more, inside the caller's transaction."""
        strip(connection, account.account_id)
        people.drop_activation(connection, account.realm, account.login)
        people.close(connection, account.account_id, self._clock())
        self._journal.operated(connection, "account.closed", account, self._clock())

    def close_person(self, connection: Connection, subject_ref: str) -> None:
        """`close` for a person, where they have an account; a code that waits ends in any case."""
        people.drop_activation(connection, PORTAL, subject_ref)
        found = people.by_login(connection, PORTAL, subject_ref)
        if found is not None:
            self.close(connection, found)

    def _redeem(
        self, connection: Connection, realm: str, login: str, code: str, now_ms: int
    ) -> bool:
        row = people.activation_of(connection, realm, login)
        left = people.take_try(connection, realm, login)  # 1
        expected = row.code_tag if row is not None else bytes(32)
        same = hmac.compare_digest(self._tag(realm, login, code), expected)  # 2
        if row is None or not left or not same or now_ms >= row.expires_at_ms:
            return False
        people.drop_activation(connection, realm, login)  # 3
        return True

    def _opened(self, connection: Connection, realm: str, login: str, language: str) -> AccountRow:
        now_ms, found = self._clock(), people.by_login(connection, realm, login)
        if found is None:
            found = new_account(realm, login, now_ms)
            people.add(connection, found)
            kind = "account.activated"
        else:
            opened = found.password_hash or people.passkeys(connection, found.account_id)
            kind = "account.recovered" if opened else "account.activated"
            strip(connection, found.account_id)  # 4
            people.reopen(connection, found.account_id)
        people.set_language(connection, found.account_id, language)
        self._journal.did(connection, kind, found, now_ms)
        return found

    def _tag(self, realm: str, login: str, code: str) -> bytes:
        return self._keys.code_tag("activation", f"{realm}:{login}", read_code(code))


def new_account(
    realm: str,
    login: str,
    now_ms: int,
    *,
    name: str = "",
    roles: Iterable[str] = (),
    language: str = "en",
) -> AccountRow:
    """An account that nothing opens yet."""
    return AccountRow(
        account_id=new_id("acc" if realm == PORTAL else "stf"),
        realm=realm,
        login=login,
        name=name,
        roles=" ".join(sorted(roles)),
        language=language,
        user_handle=secrets.token_bytes(32),
        created_at_ms=now_ms,
    )


def strip(connection: Connection, account_id: str) -> None:
    """Take away everything that opens an account, and end its sessions."""
    people.clear_password(connection, account_id)
    people.remove_passkeys(connection, account_id)
    web_sessions.end_all(connection, account_id)


def login_of(connection: Connection, realm: str, name: str) -> str:
    """The login that somebody means who gives a name; of an unknown name one that nobody has."""
    if realm == DESK:
        return name.casefold()
    try:
        return subjects.by_customer(connection, name).subject_ref
    except UnknownSubject:
        return ""


def name_of(connection: Connection, account: AccountRow) -> str:
    """The name that an account's owner gives when they sign in."""
    if account.realm == DESK:
        return account.login
    try:
        return subjects.by_ref(connection, account.login).customer_id
    except UnknownSubject:
        return ""
