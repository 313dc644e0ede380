"""How often somebody may try to sign in, by the name they give and by the address they come from.

An attempt counts before anything is checked, in a transaction of its own: a hundred guesses at once
are a hundred attempts. It stands in the database, so that a restart forgives nothing, under keyed
hashes, so that a copy of it names nobody. A name that nobody has is counted like any other: a
refusal tells nothing. What succeeds stops counting, and clears the failures of its name; those of
other names from the same address stay.

Who knows another's customer number can fill that name's count. That stops passwords for a while,
never a passkey, which counts by address alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from audit.database import Connection, Database
from node.people.secrets import PeopleKeys
from node.storage import web_sessions
from protocols.errors import CredenceError
from protocols.identifiers import new_id

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS


class TooManyAttempts(CredenceError):
    """Too many attempts to sign in with this name or from this address lately.

    Attributes:
        retry_after_s: when there may be another.
    """

    code = "too_many_attempts"
    category = "unavailable"
    retryable = True
    next_step = "Wait a quarter of an hour, or sign in with a passkey."

    def __init__(self, message: str, retry_after_s: int = 900) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Window:
    """At most `most` attempts in any `length_ms` milliseconds."""

    length_ms: int
    most: int


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """What is allowed; NIST SP 800-63B section 3.2.2 has 100 failures in a row as the most."""

    by_name: tuple[Window, ...] = (Window(15 * _MINUTE_MS, 5), Window(_DAY_MS, 30))
    by_address: tuple[Window, ...] = (Window(15 * _MINUTE_MS, 40), Window(_DAY_MS, 400))

    @property
    def longest_ms(self) -> int:
        """After which an attempt is out of every window."""
        return max(window.length_ms for window in (*self.by_name, *self.by_address))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that was let through to be checked."""

    attempt_id: str
    name_tag: bytes


class Attempts:
    """Counts attempts in the node's database."""

    def __init__(
        self,
        database: Database,
        keys: PeopleKeys,
        clock: Callable[[], int],
        limits: AttemptLimits | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._limits = limits or AttemptLimits()

    def begin(self, realm: str, name: str, address: str) -> Attempt:
        """Count an attempt, or refuse it.

        Args:
            realm: `portal` or `desk`.
            name: as given; empty when the way to sign in names nobody (a passkey).
            address: where it comes from.

        Raises:
            TooManyAttempts: with this name or from this address.
        """
        now_ms = self._clock()
        name_tag = self._keys.attempt_tag("name", realm, name)
        address_tag = self._keys.attempt_tag("address", realm, address)
        attempt = Attempt(new_id("try"), name_tag if name else b"")
        with self._database.write() as connection:
            for window in self._limits.by_address:
                since_ms = now_ms - window.length_ms
                if web_sessions.attempts_from(connection, address_tag, since_ms) >= window.most:
                    raise _refusal(window)
            for window in self._limits.by_name if name else ():
                since_ms = now_ms - window.length_ms
                if web_sessions.attempts_by_name(connection, name_tag, since_ms) >= window.most:
                    raise _refusal(window)
            web_sessions.add_attempt(
                connection, attempt.attempt_id, attempt.name_tag, address_tag, now_ms
            )
        return attempt

    def succeeded(self, connection: Connection, attempt: Attempt) -> None:
        """Let an attempt, and the failures of its name, no longer count."""
        web_sessions.forget_attempt(connection, attempt.attempt_id)
        if attempt.name_tag:
            web_sessions.forget_attempts_by_name(connection, attempt.name_tag)

    def prune(self) -> None:
        """Drop what is out of every window, and sessions and challenges that have ended."""
        now_ms = self._clock()
        with self._database.write() as connection:
            web_sessions.prune(connection, now_ms, now_ms - self._limits.longest_ms)


def _refusal(window: Window) -> TooManyAttempts:
    return TooManyAttempts(
        "too many attempts to sign in with this name or from here",
        retry_after_s=min(ceil(window.length_ms / 1000), 900),
    )
