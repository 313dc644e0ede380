"""Signing in with a passkey, or with a password and a code.

Nobody learns here who has an account. With a password:

1. the attempt counts first, by the name as given and by the address;
2. the password is checked, against nobody's where there is no such account or it has none: the
   same work;
3. the second factor is checked together with it: one answer for every failure;
4. in one transaction: the account is still as it was checked, the code's step or the recovery code
   is used up, the old session of this browser ends, a new one begins, and the log says so; or the
   log says that it failed.

With a passkey the browser names the account:

5. the attempt counts, by the address;
6. the challenge is one of ours, for this browser, not too old, and not answered before;
7. the passkey is known, is of this realm, and the answer names the same account;
8. its signature holds, its person was verified, and its counter went up where it counts.
"""

from collections.abc import Callable
from typing import Any

from audit.database import Connection, Database
from node.people import accounts
from node.people.attempts import Attempt, Attempts
from node.people.browser import Browser
from node.people.challenges import ChallengeRefused, Challenges
from node.people.codes import read_code
from node.people.journal import Journal
from node.people.secrets import PeopleKeys
from node.people.sessions import Method, Session, Sessions, StaffSession
from node.storage import people
from node.storage.people import AccountRow, PasskeyRow
from protocols import passkeys, totp
from protocols.errors import CredenceError, Malformed
from protocols.passkeys import PasskeyRejected, RelyingParty
from protocols.passwords import Passwords

MAX_PASSWORD = 500  # longer is no password of ours and not worth hashing
_NOBODYS_SEED = "A" * 32


class SignInRefused(CredenceError):
    """What was given does not open an account; which part of it is wrong is not said."""

    code = "sign_in_refused"
    category = "unauthenticated"
    next_step = "Check what you typed and try again, or ask the institution for a new code."


class SignIn:
    """Opens sessions."""

    def __init__(
        self,
        *,
        database: Database,
        keys: PeopleKeys,
        attempts: Attempts,
        challenges: Challenges,
        sessions: Sessions,
        journal: Journal,
        passwords: Passwords,
        relying_party: RelyingParty,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._keys = keys
        self._attempts = attempts
        self._challenges = challenges
        self._sessions = sessions
        self._journal = journal
        self._passwords = passwords
        self._relying_party = relying_party
        self._clock = clock

    # -- password and code

    def with_password(
        self, realm: str, name: str, password: str, code: str, browser: Browser
    ) -> str:
        """Sign in; the token of the new session.

        Args:
            realm: `portal` or `desk`.
            name: a person's customer number; a member of staff's sign-in name.
            password: as typed.
            code: of the authenticator app, or a recovery code.
            browser: who asks.

        Raises:
            SignInRefused: they do not open an account together.
            TooManyAttempts: with this name or from this address.
        """
        attempt = self._attempts.begin(realm, name, browser.address)  # 1
        with self._database.read() as connection:
            login = accounts.login_of(connection, realm, name)
            account = people.by_login(connection, realm, login)
        kept = account.password_hash if account is not None else None
        matched = self._passwords.matches(kept, password[:MAX_PASSWORD])  # 2
        step = self._step(account, code)  # 3
        renewed = None
        if matched and kept is not None and self._passwords.is_weaker(kept):
            renewed = self._passwords.hash(password)
        with self._database.write() as connection:  # 4
            now = None if account is None else people.find(connection, account.account_id)
            if (
                now is not None
                and matched
                and now.closed_at_ms is None
                and now.password_hash == kept
                and (method := self._second_factor(connection, now, step, code)) is not None
            ):
                if kept is not None and renewed is not None:
                    people.rehash(connection, now.account_id, kept, renewed)
                return self._opened(
                    connection, now, "password_totp", browser, attempt, second=method
                )
            self._journal.refused(
                connection, "sign_in.refused", realm, account, self._clock(), method="password"
            )
        raise SignInRefused("name, password and code do not open an account together")

    def again_with_password(
        self, session: Session | StaffSession, password: str, code: str, browser: Browser
    ) -> str:
        """Show again who one is; the token of the session that goes on.

        Raises:
            SignInRefused, TooManyAttempts: as `with_password`.
        """
        realm = session.realm
        with self._database.read() as connection:
            account = people.find(connection, session.account_id)
            name = "" if account is None else accounts.name_of(connection, account)
        return self.with_password(realm, name, password, code, browser)

    # -- passkey

    def passkey_options(self, realm: str, holder: str) -> dict[str, Any]:
        """What the browser needs to ask for a passkey; the same for everybody.

        Args:
            realm: `portal` or `desk`.
            holder: the token of the browser's cookie, to which the challenge is bound.
        """
        challenge = self._challenges.make(f"sign-in {realm}", holder)
        return passkeys.authentication_options(self._relying_party, challenge, ())

    def with_passkey(
        self,
        realm: str,
        holder: str,
        response: bytes,
        browser: Browser,
        *,
        only: str | None = None,
    ) -> str:
        """Sign in; the token of the new session.

        Args:
            realm: `portal` or `desk`.
            holder: as in `passkey_options`.
            response: what the browser's passkey answered, JSON.
            browser: who asks.
            only: the one account that may; None: whichever the passkey is of.

        Raises:
            SignInRefused: the passkey does not open an account here.
            TooManyAttempts: from this address.
        """
        attempt = self._attempts.begin(realm, "", browser.address)  # 5
        known: AccountRow | None = None
        try:
            challenge = passkeys.challenge_of(response)
            self._challenges.check(f"sign-in {realm}", holder, challenge)  # 6
            key, known = self._account_of(realm, response, only)  # 7
            count = passkeys.verify_assertion(  # 8
                self._relying_party, challenge, key.public_key, key.sign_count, response
            )
            return self._enter(challenge, key, count, browser, attempt)
        except (PasskeyRejected, ChallengeRefused, Malformed) as error:
            with self._database.write() as connection:
                self._journal.refused(
                    connection, "sign_in.refused", realm, known, self._clock(), method="passkey"
                )
            raise SignInRefused("the passkey does not open an account here") from error

    # -- inside

    def _enter(
        self, challenge: bytes, key: PasskeyRow, count: int, browser: Browser, attempt: Attempt
    ) -> str:
        with self._database.write() as connection:
            self._challenges.spend(connection, challenge)  # 6
            account = people.find(connection, key.account_id)
            moved = people.use_passkey(
                connection, key.credential_id, key.sign_count, count, self._clock()
            )
            if account is None or account.closed_at_ms is not None or not moved:
                raise PasskeyRejected("the passkey was used or taken away meanwhile")
            return self._opened(connection, account, "passkey", browser, attempt)

    def _account_of(
        self, realm: str, response: bytes, only: str | None
    ) -> tuple[PasskeyRow, AccountRow]:
        with self._database.read() as connection:
            key = people.find_passkey(connection, passkeys.credential_id_of(response))
            account = None if key is None else people.find(connection, key.account_id)
        if key is None or account is None or account.realm != realm:
            raise PasskeyRejected("no account here has this passkey")
        if passkeys.user_handle_of(response) != account.user_handle:
            raise PasskeyRejected("the passkey names another account")
        if only is not None and account.account_id != only:
            raise PasskeyRejected("this is somebody else's passkey")
        return key, account

    def _step(self, account: AccountRow | None, code: str) -> int | None:
        sealed = account.totp_sealed if account is not None else None
        seed = _NOBODYS_SEED
        if account is not None and sealed is not None:
            seed = self._keys.open_seed(account.account_id, sealed)
        step = totp.matching_step(seed, code.replace(" ", ""), self._clock())
        return None if sealed is None else step

    def _second_factor(
        self, connection: Connection, account: AccountRow, step: int | None, code: str
    ) -> str | None:
        """Use up the code's step or the recovery code: `totp` or `recovery`, or None."""
        if step is not None:
            return "totp" if people.use_totp_step(connection, account.account_id, step) else None
        tag = self._keys.code_tag("recovery", account.account_id, read_code(code))
        used = people.use_recovery_code(connection, account.account_id, tag)
        return "recovery" if used else None

    def _opened(
        self,
        connection: Connection,
        account: AccountRow,
        method: Method,
        browser: Browser,
        attempt: Attempt,
        **facts: str,
    ) -> str:
        self._attempts.succeeded(connection, attempt)
        token = self._sessions.open(connection, account, method, browser.agent, browser.token)
        self._journal.did(
            connection, "sign_in.succeeded", account, self._clock(), method=method, **facts
        )
        return token
