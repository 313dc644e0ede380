"""Refused calls of the API, in the log: at once, and then counted, so that no caller can fill it.

The first refusal of a client, or of a token that is nobody's, is a leaf. Others of the same client
within `EVERY_MS` are counted, and told with the next leaf. No part of a token is kept.
"""

import threading
from collections.abc import Callable

from audit.database import Database
from audit.leaf import Entry
from audit.store import AuditLog

KIND = "client.refused"
UNKNOWN = "unknown"
EVERY_MS = 60_000


class Refusals:
    """Writes leaves about refused calls; thread-safe."""

    def __init__(self, database: Database, audit: AuditLog, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._told: dict[str, tuple[int, int]] = {}  # client -> (last leaf at, refused since)

    def note(self, client_id: str | None, code: str) -> None:
        """A call was refused with `code`; None: the token names no client that there is."""
        actor = client_id or UNKNOWN
        now_ms = self._now_ms()
        with self._lock:
            last, since = self._told.get(actor, (-EVERY_MS, 0))
            # A clock that was set back must not silence the log.
            if 0 <= now_ms - last < EVERY_MS:
                self._told[actor] = last, since + 1
                return
            self._told[actor] = now_ms, 0
        entry = Entry(
            kind=KIND,
            actor=actor,
            purpose="api",
            correlation="",
            payload={"code": code, "more_before": since},
            subject=None,
            at_ms=now_ms,
        )
        with self._database.write() as connection:
            self._audit.append(connection, entry)
