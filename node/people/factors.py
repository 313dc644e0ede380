"""What an account is opened with: passkeys, a password with an authenticator app, recovery codes.

1. Only a fresh session changes any of it; the caller has checked that.
2. The last thing that opens an account is not taken away.
3. When something is taken away or replaced, all other sessions of the account end: whoever had the
   old one may be in.
4. An authenticator app is taken when it has shown a code, which counts as used.
5. A change gives the session a new token.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from audit.database import Connection, Database
from node.people import accounts
from node.people.browser import Browser
from node.people.challenges import Challenges
from node.people.codes import RECOVERY_CHARACTERS, RECOVERY_CODES, new_code, read_code
from node.people.journal import Journal
from node.people.password_rules import check_password
from node.people.secrets import PeopleKeys
from node.people.sessions import Method, Session, Sessions, StaffSession
from node.people.tickets import Tickets
from node.storage import people, web_sessions
from node.storage.people import AccountRow, PasskeyRow
from protocols import passkeys, totp
from protocols.errors import CredenceError, InvalidInput, NotFound, StateConflict
from protocols.passkeys import PasskeyRejected, RelyingParty
from protocols.passwords import Passwords

MAX_PASSKEYS = 20
MAX_LABEL = 60
SETUP_MS = 20 * 60_000
_TICKET = "totp"

AnySession = Session | StaffSession


class LastFactor(StateConflict):
    """Without this nothing would open the account any more."""

    code = "last_factor"
    next_step = "Add another passkey or a password first, then take this one away."


class CodeRefused(CredenceError):
    """The code that the authenticator app should show now is another one."""

    code = "code_refused"
    category = "invalid"
    next_step = "Read the code again when it changes; check that the phone's clock is right."


class TooManyPasskeys(InvalidInput):
    """An account holds only so many passkeys."""

    code = "too_many_passkeys"
    next_step = "Take one away that you no longer use."


@dataclass(frozen=True, slots=True)
class Factors:
    """What opens an account now.

    Attributes:
        name: what its owner gives when they sign in with a password.
        passkeys: oldest first.
        has_password: with an authenticator app.
        recovery_codes: how many are unused.
    """

    name: str
    passkeys: tuple[PasskeyRow, ...]
    has_password: bool
    recovery_codes: int


@dataclass(frozen=True, slots=True)
class Setup:
    """An authenticator app that is being set up; nothing is stored yet.

    Attributes:
        name: what the account's owner gives when they sign in.
        seed: to be typed into the app, base32.
        uri: what the QR code says.
        ticket: comes back with the password and the first code.
    """

    name: str
    seed: str = field(repr=False)
    uri: str = field(repr=False)
    ticket: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Changed:
    """After a change.

    Attributes:
        token: of the session from now on.
        recovery_codes: new ones, to be shown once; empty: the old ones stay.
    """

    token: str = field(repr=False)
    recovery_codes: tuple[str, ...] = field(default=(), repr=False)


class FactorService:
    """Changes what accounts are opened with."""

    def __init__(
        self,
        *,
        database: Database,
        keys: PeopleKeys,
        challenges: Challenges,
        tickets: Tickets,
        sessions: Sessions,
        journal: Journal,
        passwords: Passwords,
        relying_party: RelyingParty,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._keys = keys
        self._challenges = challenges
        self._tickets = tickets
        self._sessions = sessions
        self._journal = journal
        self._passwords = passwords
        self._relying_party = relying_party
        self._clock = clock

    def of(self, session: AnySession) -> Factors:
        """What opens the account of a session."""
        with self._database.read() as connection:
            account = _account(connection, session)
            return Factors(
                name=accounts.name_of(connection, account),
                passkeys=tuple(people.passkeys(connection, account.account_id)),
                has_password=account.password_hash is not None,
                recovery_codes=people.recovery_codes_left(connection, account.account_id),
            )

    # -- passkeys

    def passkey_options(self, session: AnySession) -> dict[str, Any]:
        """What the browser needs to make a passkey."""
        with self._database.read() as connection:
            account = _account(connection, session)
            name = accounts.name_of(connection, account)
            known = people.passkeys(connection, account.account_id)
        challenge = self._challenges.make("add passkey", session.session_id)
        return passkeys.registration_options(
            self._relying_party,
            account.user_handle,
            name,
            challenge,
            [one.credential_id for one in known],
        )

    def add_passkey(
        self, session: AnySession, response: bytes, label: str, browser: Browser
    ) -> Changed:
        """Keep a new passkey.

        Args:
            session: of the person.
            response: what the browser's authenticator answered, JSON.
            label: what the person calls it.
            browser: who asks.

        Raises:
            ChallengeRefused, PasskeyRejected, Malformed: the answer does not hold.
            TooManyPasskeys: the account is full.
        """
        challenge = passkeys.challenge_of(response)
        self._challenges.check("add passkey", session.session_id, challenge)
        made = passkeys.verify_registration(self._relying_party, challenge, response)
        now_ms = self._clock()
        with self._database.write() as connection:
            self._challenges.spend(connection, challenge)
            account = _account(connection, session)
            if people.find_passkey(connection, made.credential_id) is not None:
                raise PasskeyRejected("this passkey is known already")
            if len(people.passkeys(connection, account.account_id)) >= MAX_PASSKEYS:
                raise TooManyPasskeys(f"an account holds at most {MAX_PASSKEYS} passkeys")
            row = PasskeyRow(
                credential_id=made.credential_id,
                account_id=account.account_id,
                public_key=made.public_key,
                sign_count=made.sign_count,
                aaguid=made.aaguid,
                backed_up=made.backed_up,
                label=label[:MAX_LABEL],
                created_at_ms=now_ms,
                used_at_ms=now_ms,
            )
            people.add_passkey(connection, row)
            self._journal.did(connection, "factor.added", account, now_ms, factor="passkey")
            return Changed(self._renewed(connection, account, session, "passkey", browser))

    def remove_passkey(
        self, session: AnySession, credential_id: bytes, browser: Browser
    ) -> Changed:
        """Take a passkey away.

        Raises:
            NotFound: the account has no such passkey.
            LastFactor: nothing else opens the account.
        """
        with self._database.write() as connection:
            account = _account(connection, session)
            others = [
                one
                for one in people.passkeys(connection, account.account_id)
                if one.credential_id != credential_id
            ]
            if not people.remove_passkey(connection, account.account_id, credential_id):
                raise NotFound("this account has no such passkey")
            if not others and account.password_hash is None:  # rule 2
                raise LastFactor("this passkey is all that opens the account")
            return self._taken(connection, account, session, "passkey", browser)

    # -- password and authenticator app

    def begin_password(self, session: AnySession, ticket: str | None = None) -> Setup:
        """A seed for an authenticator app; with the ticket of an earlier step, that one again.

        Raises:
            TicketRefused: the ticket is not of this session, or too old.
        """
        with self._database.read() as connection:
            account = _account(connection, session)
            name = accounts.name_of(connection, account)
        if ticket is None:
            seed = totp.new_seed()
            ticket = self._tickets.seal(_TICKET, session.session_id, {"seed": seed}, SETUP_MS)
        else:
            seed = self._tickets.open(_TICKET, session.session_id, ticket)["seed"]
        uri = totp.provisioning_uri(seed, name, self._relying_party.name)
        return Setup(name, seed, uri, ticket)

    def set_password(
        self, session: AnySession, ticket: str, password: str, code: str, browser: Browser
    ) -> Changed:
        """Replace password, authenticator app and recovery codes.

        Args:
            session: of the person.
            ticket: of `begin_password`.
            password: the new one.
            code: that the app shows.
            browser: who asks.

        Raises:
            PasswordRefused: it is too weak.
            CodeRefused: the app does not show what it should.
            TicketRefused: another session's step, or too old.
        """
        seed = self._tickets.open(_TICKET, session.session_id, ticket)["seed"]
        with self._database.read() as connection:
            name = accounts.name_of(connection, _account(connection, session))
        check_password(password, own_words=(name, self._relying_party.name))
        step = totp.matching_step(seed, code.replace(" ", ""), self._clock())
        if step is None:  # rule 4
            raise CodeRefused("the code is not the one that the app should show")
        hashed = self._passwords.hash(password)
        codes = tuple(new_code(RECOVERY_CHARACTERS) for _ in range(RECOVERY_CODES))
        with self._database.write() as connection:
            account = _account(connection, session)
            sealed = self._keys.seal_seed(account.account_id, seed)
            people.set_password(connection, account.account_id, hashed, sealed, step)
            self._keep_codes(connection, account, codes)
            web_sessions.end_all(connection, account.account_id, but=session.session_id)  # rule 3
            self._journal.did(
                connection, "factor.added", account, self._clock(), factor="password_totp"
            )
            token = self._renewed(connection, account, session, "password_totp", browser)
        return Changed(token, codes)

    def remove_password(self, session: AnySession, browser: Browser) -> Changed:
        """Take password, authenticator app and recovery codes away.

        Raises:
            NotFound: there is no password.
            LastFactor: nothing else opens the account.
        """
        with self._database.write() as connection:
            account = _account(connection, session)
            if account.password_hash is None:
                raise NotFound("this account has no password")
            if not people.passkeys(connection, account.account_id):  # rule 2
                raise LastFactor("this password is all that opens the account")
            people.clear_password(connection, account.account_id)
            return self._taken(connection, account, session, "password_totp", browser)

    def new_recovery_codes(self, session: AnySession) -> tuple[str, ...]:
        """Recovery codes in place of the old ones, to be shown once.

        Raises:
            NotFound: there is no password that they would go with.
        """
        codes = tuple(new_code(RECOVERY_CHARACTERS) for _ in range(RECOVERY_CODES))
        with self._database.write() as connection:
            account = _account(connection, session)
            if account.password_hash is None:
                raise NotFound("this account has no password")
            self._keep_codes(connection, account, codes)
            self._journal.did(
                connection, "factor.added", account, self._clock(), factor="recovery_codes"
            )
        return codes

    # -- sessions

    def end_session(self, session: AnySession, session_id: str) -> None:
        """Sign out one browser of the account.

        Raises:
            NotFound: it has no such session.
        """
        with self._database.write() as connection:
            account = _account(connection, session)
            if not web_sessions.end_one(connection, account.account_id, session_id):
                raise NotFound("this account has no such session")
            self._journal.did(connection, "session.ended", account, self._clock(), sessions=1)

    def end_everywhere(self, session: AnySession) -> None:
        """Sign out all browsers of the account, this one too."""
        with self._database.write() as connection:
            account = _account(connection, session)
            ended = web_sessions.end_all(connection, account.account_id)
            self._journal.did(connection, "session.ended", account, self._clock(), sessions=ended)

    # -- inside

    def _keep_codes(
        self, connection: Connection, account: AccountRow, codes: tuple[str, ...]
    ) -> None:
        tags = [
            self._keys.code_tag("recovery", account.account_id, read_code(code)) for code in codes
        ]
        people.set_recovery_codes(connection, account.account_id, tags)

    def _taken(
        self,
        connection: Connection,
        account: AccountRow,
        session: AnySession,
        factor: str,
        browser: Browser,
    ) -> Changed:
        web_sessions.end_all(connection, account.account_id, but=session.session_id)  # rule 3
        self._journal.did(connection, "factor.removed", account, self._clock(), factor=factor)
        return Changed(self._renewed(connection, account, session, session.method, browser))

    def _renewed(
        self,
        connection: Connection,
        account: AccountRow,
        session: AnySession,
        added: Method,
        browser: Browser,
    ) -> str:
        first = session.method == "activation"
        return self._sessions.open(
            connection,
            account,
            added if first else session.method,
            browser.agent,
            browser.token,
            second_factor=first or session.second_factor,
        )


def _account(connection: Connection, session: AnySession) -> AccountRow:
    found = people.find(connection, session.account_id)
    if found is None or found.closed_at_ms is not None:
        raise NotFound("this account is closed")
    return found
