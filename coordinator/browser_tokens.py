"""What a browser is let in by: numbers that only it has, and how often it may guess at them.

1. A token is 256 random bits; the database has its SHA-256 alone.
2. An address may fail a few times in a quarter of an hour and is refused then, before anything is
   looked up; all addresses together may fail more often, and no more. What succeeds does not count.
"""

import secrets
import threading
from collections import deque
from dataclasses import dataclass

from protocols.canonical import b64url_decode, b64url_encode, sha256
from protocols.errors import CredenceError, Malformed

TOKEN_BYTES = 32
FAILURES_MS = 15 * 60_000
FAILURES_BY_ADDRESS = 10
FAILURES_IN_ALL = 200


class ConsoleAttemptsExceeded(CredenceError):
    """Too many links that did not open the console were tried from there lately."""

    code = "console_attempts_exceeded"
    category = "unavailable"
    retryable = True
    next_step = "Wait a quarter of an hour, then open a new link."


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A new link; the token stands nowhere else."""

    token: str
    expires_at_ms: int


def new_token() -> tuple[str, bytes]:
    """A token for its holder, and what the database keeps of it (1)."""
    token = secrets.token_bytes(TOKEN_BYTES)
    return b64url_encode(token), sha256(token)


def digest_of(token: str) -> bytes | None:
    """SHA-256 of a token as the database has it; None when it is none of ours (1)."""
    try:
        raw = b64url_decode(token) if len(token) <= 64 else b""
    except Malformed:
        return None
    return sha256(raw) if len(raw) == TOKEN_BYTES else None


class Failures:
    """Attempts of the last quarter of an hour, by address; an attempt counts before it is checked.

    In memory: a restart forgives ten guesses at a number of 256 bits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_address: dict[str, deque[int]] = {}

    def admit(self, address: str, now_ms: int) -> None:
        """Count an attempt (2).

        Raises:
            ConsoleAttemptsExceeded: there were too many.
        """
        with self._lock:
            self._drop_before(now_ms - FAILURES_MS)
            tried = self._by_address.setdefault(address, deque())
            in_all = sum(map(len, self._by_address.values()))
            if len(tried) >= FAILURES_BY_ADDRESS or in_all >= FAILURES_IN_ALL:
                raise ConsoleAttemptsExceeded("too many links were tried from here")
            tried.append(now_ms)

    def forgive(self, address: str, at_ms: int) -> None:
        """Take an attempt that succeeded out of the count."""
        with self._lock:
            tried = self._by_address.get(address)
            if tried is not None and at_ms in tried:
                tried.remove(at_ms)

    def _drop_before(self, since_ms: int) -> None:
        for address, tried in list(self._by_address.items()):
            while tried and tried[0] <= since_ms:
                tried.popleft()
            if not tried:
                del self._by_address[address]
