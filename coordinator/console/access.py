"""Who may look at the operator's console.

The coordinator has no accounts. Whoever may use its home directory may make a link there; the link
opens a session in one browser.

1. A link's token is 256 random bits; the database has its SHA-256 alone.
2. It works once, within ten minutes, and spending it, the session and the audit leaf are one
   transaction: of two browsers that show it at one moment, one gets in.
3. An address may fail a few times in a quarter of an hour and is refused then, before anything is
   looked up; all addresses together may fail more often, and no more. What succeeds does not count.
4. A session's token is 256 other random bits, kept likewise; it ends after twelve hours whatever
   happens, when it is signed out, or when the operator ends all of them.
5. Each link, sign-in, failure, sign-out and ending is a leaf of the audit log.
"""

from collections.abc import Callable

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from coordinator.browser_tokens import Failures, IssuedLink, digest_of, new_token
from coordinator.membership import ACTOR
from coordinator.storage import console_access as rows
from coordinator.storage.console_access import SessionRow
from protocols.errors import CredenceError
from protocols.identifiers import new_id

LINK_MS = 10 * 60_000
SESSION_MS = 12 * 3_600_000
_AGENT = 80


class ConsoleLinkRefused(CredenceError):
    """A link to the console that is unknown, used already, or too old."""

    code = "console_link_refused"
    category = "unauthenticated"
    next_step = "Make a new one with `credence coordinator console HOME`; it works once."


class ConsoleAccess:
    """Issues links, opens and ends sessions.

    Args:
        database: the coordinator's.
        audit: its log.
        clock: UTC milliseconds.
    """

    def __init__(self, database: Database, audit: AuditLog, clock: Callable[[], int]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._failures = Failures()

    def issue(self) -> IssuedLink:
        """Make a link."""
        token, digest = new_token()
        now_ms = self._clock()
        until_ms = now_ms + LINK_MS
        with self._database.write() as connection:
            rows.prune(connection, now_ms)
            rows.add_link(connection, digest, now_ms, until_ms)
            self._log(connection, "console.link_issued", now_ms, expires_at_ms=until_ms)
        return IssuedLink(token, until_ms)

    def enter(self, token: str, address: str, agent: str) -> str:
        """Spend a link; the token of the session it opens.

        Args:
            token: as it stood in the link.
            address: where the browser is.
            agent: browser and system, coarsely.

        Raises:
            ConsoleAttemptsExceeded: check 3.
            ConsoleLinkRefused: check 2.
        """
        now_ms = self._clock()
        self._failures.admit(address, now_ms)  # 3
        digest = digest_of(token)
        session, session_digest = new_token()  # 4
        row = SessionRow(
            token_sha256=session_digest,
            session_id=new_id("con"),
            agent=agent[:_AGENT],
            created_at_ms=now_ms,
            expires_at_ms=now_ms + SESSION_MS,
        )
        with self._database.write() as connection:
            opened = digest is not None and rows.spend_link(connection, digest, now_ms)  # 2
            if opened:
                rows.add_session(connection, row)
                self._log(connection, "console.signed_in", now_ms, session_id=row.session_id)
            else:
                self._log(connection, "console.refused", now_ms)
        if not opened:
            raise ConsoleLinkRefused("this link does not open the console, or no longer")
        self._failures.forgive(address, now_ms)
        return session

    def find(self, token: str) -> SessionRow | None:
        """The session of a browser's token, or None: there is none, or it has ended."""
        digest = digest_of(token)
        if digest is None:
            return None
        with self._database.read() as connection:
            return rows.find_session(connection, digest, self._clock())

    def sessions(self) -> list[SessionRow]:
        """The open sessions, the newest first."""
        with self._database.read() as connection:
            return rows.sessions(connection, self._clock())

    def sign_out(self, token: str) -> None:
        """End one session."""
        digest = digest_of(token)
        if digest is None:
            return
        with self._database.write() as connection:
            session_id = rows.end_session(connection, digest)
            if session_id is not None:
                now_ms = self._clock()
                self._log(connection, "console.signed_out", now_ms, session_id=session_id)

    def end_all(self) -> int:
        """End every session and take back every unused link; how many sessions there were."""
        with self._database.write() as connection:
            rows.prune(connection, self._clock())
            ended = rows.end_sessions(connection)
            rows.void_links(connection)
            self._log(connection, "console.sessions_ended", self._clock(), sessions=ended)
        return ended

    def _log(self, connection: Connection, kind: str, at_ms: int, **facts: str | int) -> None:
        self._audit.append(
            connection,
            Entry(
                kind=kind,
                actor=ACTOR,
                purpose="console",
                correlation="",
                payload=facts,
                subject=None,
                at_ms=at_ms,
            ),
        )
