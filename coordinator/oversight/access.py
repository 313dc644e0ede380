"""Who may open the regulator's console of the network: accounts that a passkey opens.

1. The operator adds a regulator and hands over a link; it works once, within a day, and lets its
   holder make a passkey. Another link for the same account takes its passkeys and sessions away.
2. A passkey verifies the person. Its challenge is ours, of this browser, and answered once; its
   counter, where it counts, only grows.
3. Tokens are 256 random bits, of which the database has the SHA-256; a session ends after eight
   hours whatever happens.
4. An account that was closed opens nothing, from the next request on.
5. Each account, link, sign-in, failure and end is a leaf, in the transaction of the act.
6. Who fails too often from one address is not looked at for a while.
"""

import re
import secrets
from collections.abc import Callable
from typing import Any

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from coordinator.browser_tokens import Failures, IssuedLink, digest_of, new_token
from coordinator.membership import ACTOR
from coordinator.storage import oversight as rows
from coordinator.storage.oversight import PasskeyRow, RegulatorRow
from protocols import passkeys
from protocols.canonical import b64url_decode, sha256
from protocols.challenges import (
    ChallengeRefused,
    challenge_end_ms,
    check_challenge,
    make_challenge,
)
from protocols.errors import CredenceError, InvalidInput, NotFound, StateConflict
from protocols.identifiers import new_id
from protocols.passkeys import PasskeyRejected, RelyingParty

USER_HANDLE_BYTES = 32
LINK_MS = 24 * 3_600_000
SESSION_MS = 8 * 3_600_000
MAX_LABEL = 60
_LOGIN = re.compile(r"[a-z][a-z0-9._-]{1,39}")
_ENROL, _SIGN_IN = "regulator enrols", "regulator signs in"


class RegulatorLinkRefused(CredenceError):
    """A link that is unknown, used already, or too old."""

    code = "regulator_link_refused"
    category = "unauthenticated"
    next_step = "Ask the operator for `credence coordinator regulator link HOME --login NAME`."


class RegulatorUnknown(NotFound):
    """There is no regulator by that sign-in name."""

    code = "regulator_unknown"
    next_step = "See `credence coordinator regulator list HOME`."


class RegulatorExists(StateConflict):
    """There is or was a regulator by that sign-in name."""

    code = "regulator_exists"
    next_step = "Choose another name, so that the log stays clear."


class RegulatorAccess:
    """Adds regulators, opens and ends their sessions; thread-safe.

    Args:
        database: the coordinator's.
        audit: its log.
        challenge_key: 32 bytes.
        party: the site that passkeys are bound to; None: accounts are only added and closed.
        clock: UTC milliseconds.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        challenge_key: bytes,
        party: RelyingParty | None,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._challenge_key = challenge_key
        self._party = party
        self._clock = clock
        self._failures = Failures()

    # -- the operator

    def add(self, login: str, name: str) -> IssuedLink:
        """A new regulator, and the link that lets them make a passkey.

        Raises:
            InvalidInput: a name of the wrong form.
            RegulatorExists: the sign-in name is taken.
        """
        if _LOGIN.fullmatch(login) is None:
            raise InvalidInput("a sign-in name is a letter, then 1 to 39 of a-z, 0-9 and ._-")
        if not name.strip() or len(name) > 120 or not name.isprintable():
            raise InvalidInput("a name is 1 to 120 printable characters")
        now_ms = self._clock()
        row = RegulatorRow(
            new_id("reg"), login, name.strip(), secrets.token_bytes(USER_HANDLE_BYTES), now_ms
        )
        with self._database.write() as connection:
            if rows.by_login(connection, login) is not None:
                raise RegulatorExists(f"there is or was a regulator {login!r}")
            rows.add(connection, row)
            self._log(connection, "regulator.added", ACTOR, row)
            return self._link(connection, row)

    def link(self, login: str) -> IssuedLink:
        """A new link for somebody who lost their passkey (1).

        Raises:
            RegulatorUnknown: nobody open by that name.
        """
        with self._database.write() as connection:
            row = _open(connection, login)
            rows.drop_access(connection, row.regulator_id)
            return self._link(connection, row)

    def close(self, login: str) -> None:
        """Let an account open nothing more (4).

        Raises:
            RegulatorUnknown: nobody open by that name.
        """
        with self._database.write() as connection:
            row = _open(connection, login)
            rows.close(connection, row.regulator_id, self._clock())
            self._log(connection, "regulator.closed", ACTOR, row)

    def every(self) -> list[RegulatorRow]:
        """All accounts, closed ones too."""
        with self._database.read() as connection:
            return rows.every(connection)

    # -- the regulator

    def enrol_options(self, link: str) -> dict[str, Any]:
        """What the browser needs to make the passkey.

        Raises:
            RegulatorLinkRefused: rule 1.
        """
        with self._database.read() as connection:
            row = self._of_link(connection, link)
            known = [one.credential_id for one in rows.passkeys(connection, row.regulator_id)]
        challenge = make_challenge(self._challenge_key, _ENROL, link, self._clock())
        return passkeys.registration_options(
            self._site, row.user_handle, row.login, challenge, known
        )

    def enrol(self, link: str, response: bytes, label: str) -> str:
        """Keep the passkey and spend the link; the token of the session it opens.

        Raises:
            RegulatorLinkRefused: rule 1.
            ChallengeRefused, PasskeyRejected, Malformed: rule 2.
        """
        now_ms = self._clock()
        challenge = passkeys.challenge_of(response)
        check_challenge(self._challenge_key, _ENROL, link, challenge, now_ms)
        made = passkeys.verify_registration(self._site, challenge, response)
        with self._database.write() as connection:
            row = self._of_link(connection, link)
            self._spend(connection, challenge)
            if rows.find_passkey(connection, made.credential_id) is not None:
                raise PasskeyRejected("this passkey is known already")
            rows.end_token(connection, sha256(b64url_decode(link)))
            key = PasskeyRow(
                made.credential_id, row.regulator_id, made.public_key, made.sign_count,
                label[:MAX_LABEL], now_ms,
            )  # fmt: skip
            rows.add_passkey(connection, key)
            self._log(connection, "regulator.enrolled", row.regulator_id, row)
            return self._session(connection, row)

    def sign_in_options(self, holder: str) -> dict[str, Any]:
        """The same for everybody: nobody has been named."""
        challenge = make_challenge(self._challenge_key, _SIGN_IN, holder, self._clock())
        return passkeys.authentication_options(self._site, challenge, ())

    def sign_in(self, holder: str, response: bytes, address: str) -> str:
        """Open a session with a passkey; its token.

        Args:
            holder: the token of the browser's cookie that the challenge was made for.
            response: what the browser sent.
            address: where it is.

        Raises:
            ConsoleAttemptsExceeded: rule 6.
            ChallengeRefused, PasskeyRejected, Malformed: rule 2.
        """
        now_ms = self._clock()
        self._failures.admit(address, now_ms)  # 6
        challenge = passkeys.challenge_of(response)
        check_challenge(self._challenge_key, _SIGN_IN, holder, challenge, now_ms)
        try:
            token = self._opened(challenge, response)
        except CredenceError:
            with self._database.write() as connection:
                self._log(connection, "regulator.refused", "regulator", None)
            raise
        self._failures.forgive(address, now_ms)
        return token

    def find(self, token: str) -> RegulatorRow | None:
        """Whose session a browser's token is of, or None (3, 4)."""
        return self._owner(token, enrols=False)

    def offered(self, link: str) -> RegulatorRow | None:
        """Whose link it is, nothing spent; None: it opens nothing."""
        return self._owner(link, enrols=True)

    def sign_out(self, token: str) -> None:
        """End a session."""
        digest = digest_of(token)
        if digest is None:
            return
        with self._database.write() as connection:
            row = rows.owner(connection, digest, self._clock(), enrols=False)
            if row is not None:
                rows.end_token(connection, digest)
                self._log(connection, "regulator.signed_out", row.regulator_id, row)

    # -- inside

    def _owner(self, token: str, *, enrols: bool) -> RegulatorRow | None:
        digest = digest_of(token)
        if digest is None:
            return None
        with self._database.read() as connection:
            return rows.owner(connection, digest, self._clock(), enrols=enrols)

    def _opened(self, challenge: bytes, response: bytes) -> str:
        with self._database.write() as connection:
            key = rows.find_passkey(connection, passkeys.credential_id_of(response))
            row = None if key is None else rows.find(connection, key.regulator_id)  # 4
            if key is None or row is None:
                raise PasskeyRejected("this passkey opens nothing here")
            counter = passkeys.verify_assertion(
                self._site, challenge, key.public_key, key.sign_count, response
            )
            self._spend(connection, challenge)
            rows.count(connection, key.credential_id, counter)
            self._log(connection, "regulator.signed_in", row.regulator_id, row)
            return self._session(connection, row)

    @property
    def _site(self) -> RelyingParty:
        if self._party is None:
            raise InvalidInput("the console is turned off: listen_console is empty")
        return self._party

    def _link(self, connection: Connection, row: RegulatorRow) -> IssuedLink:
        token, digest = new_token()
        now_ms = self._clock()
        until_ms = now_ms + LINK_MS
        rows.add_token(connection, digest, row.regulator_id, now_ms, until_ms, enrols=True)
        self._log(connection, "regulator.link_issued", ACTOR, row)
        return IssuedLink(token, until_ms)

    def _session(self, connection: Connection, row: RegulatorRow) -> str:
        token, digest = new_token()  # 3
        now_ms = self._clock()
        rows.prune(connection, now_ms)
        rows.add_token(
            connection, digest, row.regulator_id, now_ms, now_ms + SESSION_MS, enrols=False
        )
        return token

    def _of_link(self, connection: Connection, link: str) -> RegulatorRow:
        digest = digest_of(link)
        row = None
        if digest is not None:
            row = rows.owner(connection, digest, self._clock(), enrols=True)
        if row is None:
            raise RegulatorLinkRefused("this link opens nothing, or no longer")
        return row

    def _spend(self, connection: Connection, challenge: bytes) -> None:
        if not rows.spend(connection, sha256(challenge), challenge_end_ms(challenge)):
            raise ChallengeRefused("this challenge was answered already")

    def _log(self, connection: Connection, kind: str, actor: str, row: RegulatorRow | None) -> None:
        facts = {} if row is None else {"regulator_id": row.regulator_id, "login": row.login}
        entry = Entry(
            kind=kind,
            actor=actor,
            purpose="oversight",
            correlation="",
            payload=facts,
            subject=None,
            at_ms=self._clock(),
        )
        self._audit.append(connection, entry)


def _open(connection: Connection, login: str) -> RegulatorRow:
    row = rows.by_login(connection, login)
    if row is None or row.closed_at_ms is not None:
        raise RegulatorUnknown(f"no regulator {login!r}")
    return row
