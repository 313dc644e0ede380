"""Sessions of browsers at the portal and at the desk.

1. A token is 256 random bits; the database has its SHA-256 alone.
2. Whoever signs in, or shows again who they are, gets a new token, and the old one ends: a token
   that somebody planted before opens nothing after.
3. A session ends after a time without use, and after a fixed time whatever happens.
4. For a while after a sign-in it is fresh; what is hard to undo asks for a fresh one.
5. The account is read again with each request: a closed one, or a role that was taken away, takes
   effect at once.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from audit.database import Connection, Database
from node.people.secrets import TOKEN_BYTES, new_token
from node.storage import people, subjects, web_sessions
from node.storage.people import AccountRow
from node.storage.subjects import UnknownSubject
from node.storage.web_sessions import SessionRow
from protocols.canonical import b64url_decode, b64url_encode, sha256
from protocols.errors import CredenceError, Malformed
from protocols.identifiers import new_id

PORTAL: Final = "portal"
DESK: Final = "desk"
Method = Literal["passkey", "password_totp", "oidc", "activation"]

TOUCH_EVERY_MS = 60_000
_MINUTE_MS = 60_000
_CSRF = b"credence/1|csrf"


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long sessions of a realm last, milliseconds.

    Attributes:
        idle_ms: without a request.
        whole_ms: whatever happens.
        fresh_ms: how long the person counts as just having shown who they are.
        activation_ms: of a session that a one-time code opened, which may only add what the
            account is opened with later.
    """

    idle_ms: int
    whole_ms: int
    fresh_ms: int = 10 * _MINUTE_MS
    activation_ms: int = 30 * _MINUTE_MS


LIMITS: Mapping[str, SessionLimits] = {
    PORTAL: SessionLimits(idle_ms=30 * _MINUTE_MS, whole_ms=12 * 60 * _MINUTE_MS),
    DESK: SessionLimits(idle_ms=15 * _MINUTE_MS, whole_ms=8 * 60 * _MINUTE_MS),
}


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is signed in at the portal.

    Attributes:
        pseudonym: as of now; a key change replaces it.
        csrf_token: what a form of this session carries.
        method: how the session was opened; `activation` may only add factors.
        second_factor: whether more than one thing was shown: a passkey that verified the person, a
            password with a code, or what the institution's own sign-in says it asked for.
        fresh_until_ms: until when the person counts as just having shown who they are.
        session_id: its name in the list of sessions.
    """

    account_id: str
    subject_ref: str
    pseudonym: bytes
    language: str
    csrf_token: str = field(repr=False)
    method: Method
    second_factor: bool
    fresh_until_ms: int
    session_id: str

    @property
    def realm(self) -> str:
        """`portal`."""
        return PORTAL


@dataclass(frozen=True, slots=True)
class StaffSession:
    """A member of staff who is signed in at the desk; attributes as of `Session`."""

    staff_id: str
    name: str
    roles: frozenset[str]
    language: str
    csrf_token: str = field(repr=False)
    method: Method
    second_factor: bool
    fresh_until_ms: int
    session_id: str

    @property
    def realm(self) -> str:
        """`desk`."""
        return DESK

    @property
    def account_id(self) -> str:
        """The account's id, which is what the log calls them."""
        return self.staff_id


class RoleMissing(CredenceError):
    """This member of staff does not have a role that may do this."""

    code = "role_missing"
    category = "forbidden"
    next_step = "Ask an administrator of the institution for the role."


class Sessions:
    """The sessions of one node."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        limits: Mapping[str, SessionLimits] = LIMITS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits

    def open(
        self,
        connection: Connection,
        account: AccountRow,
        method: Method,
        agent: str,
        replaces: str | None,
        *,
        second_factor: bool = True,
    ) -> str:
        """A new session inside the caller's transaction; its token, which is nowhere else.

        Args:
            connection: of a write transaction.
            account: whose.
            method: how they showed who they are.
            agent: the browser, for the list of sessions.
            replaces: the token that this browser had before, if any; it ends.
            second_factor: whether they showed more than one thing.
        """
        token, now_ms = new_token(), self._clock()
        limits = self._limits[account.realm]
        activating = method == "activation"
        if replaces is not None and (old := _digest(replaces)) is not None:
            web_sessions.end(connection, old)  # rule 2
        row = SessionRow(
            token_sha256=sha256(token),
            session_id=new_id("ses"),
            account_id=account.account_id,
            realm=account.realm,
            method=method,
            second_factor=second_factor and not activating,
            agent=agent[:60],
            created_at_ms=now_ms,
            seen_at_ms=now_ms,
            fresh_until_ms=now_ms + (limits.activation_ms if activating else limits.fresh_ms),
            expires_at_ms=now_ms + (limits.activation_ms if activating else limits.whole_ms),
        )
        web_sessions.add(connection, row)
        return b64url_encode(token)

    def person(self, token: str) -> Session | None:
        """Whom a token of the portal lets in, or None."""
        with self._database.read() as connection:
            found = self._live(connection, PORTAL, token)
            if found is None:
                return None
            row, account = found
            try:
                subject = subjects.by_ref(connection, account.login)
            except UnknownSubject:
                return None
        self._touch(row)
        return Session(
            account_id=account.account_id,
            subject_ref=account.login,
            pseudonym=subject.pseudonym,
            language=account.language,
            csrf_token=csrf_token(token),
            method=_method(row.method),
            second_factor=row.second_factor,
            fresh_until_ms=row.fresh_until_ms,
            session_id=row.session_id,
        )

    def staff(self, token: str) -> StaffSession | None:
        """Whom a token of the desk lets in, or None."""
        with self._database.read() as connection:
            found = self._live(connection, DESK, token)
        if found is None:
            return None
        row, account = found
        self._touch(row)
        return StaffSession(
            staff_id=account.account_id,
            name=account.name,
            roles=frozenset(account.roles.split()),
            language=account.language,
            csrf_token=csrf_token(token),
            method=_method(row.method),
            second_factor=row.second_factor,
            fresh_until_ms=row.fresh_until_ms,
            session_id=row.session_id,
        )

    def is_fresh(self, session: Session | StaffSession) -> bool:
        """Whether the person counts as just having shown who they are (rule 4)."""
        return self._clock() < session.fresh_until_ms

    def end(self, token: str) -> None:
        """Sign out."""
        if (digest := _digest(token)) is not None:
            with self._database.write() as connection:
                web_sessions.end(connection, digest)

    def every(self, account_id: str) -> list[SessionRow]:
        """The live sessions of an account, the newest first."""
        with self._database.read() as connection:
            rows = web_sessions.of_account(connection, account_id)
        return [row for row in rows if self._alive(row)]

    def _live(
        self, connection: Connection, realm: str, token: str
    ) -> tuple[SessionRow, AccountRow] | None:
        digest = _digest(token)
        row = None if digest is None else web_sessions.find(connection, digest)  # rule 1
        if row is None or row.realm != realm or not self._alive(row):
            return None
        account = people.find(connection, row.account_id)  # rule 5
        if account is None or account.closed_at_ms is not None:
            return None
        return row, account

    def _alive(self, row: SessionRow) -> bool:
        now_ms = self._clock()  # rule 3
        return now_ms < min(row.expires_at_ms, row.seen_at_ms + self._limits[row.realm].idle_ms)

    def _touch(self, row: SessionRow) -> None:
        now_ms = self._clock()
        if now_ms - row.seen_at_ms >= TOUCH_EVERY_MS:
            with self._database.write() as connection:
                web_sessions.touch(connection, row.token_sha256, now_ms)


def csrf_token(token: str) -> str:
    """The token of the forms that belong to a session or pre-session token of a cookie.

    Derived, so that it changes when the cookie does and nobody without the cookie can make it.
    """
    return b64url_encode(hmac.digest(token.encode(), _CSRF, "sha256"))


def _digest(token: str) -> bytes | None:
    """SHA-256 of a token as the database has it; None when it is none of ours."""
    try:
        raw = b64url_decode(token) if len(token) <= 64 else b""
    except Malformed:
        return None
    return sha256(raw) if len(raw) == TOKEN_BYTES else None


def _method(text: str) -> Method:
    methods: tuple[Method, ...] = ("passkey", "password_totp", "oidc", "activation")
    return next(one for one in methods if one == text)
