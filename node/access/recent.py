"""Clients as they stood a moment ago.

A look into the database for every call costs a tenth of a score. A call whose act is done in a
transaction of its own can do with what was read a moment ago, where that transaction asks again
whether the client is still valid (`node.storage.clients.generations`): so one that was revoked is
given nothing, whichever process revoked it. What else may have changed meanwhile, how often the
client may call, holds a moment late.
"""

import threading
import time
from collections.abc import Callable

from node.storage.clients import ClientRow

LIFE_S = 1.0
MOST = 1024  # clients at a time; beyond, all are looked up anew


class RecentClients:
    """Rows by client id, each for a moment; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Forget by `clock`, seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[ClientRow, float]] = {}

    def find(self, client_id: str) -> ClientRow | None:
        """The row, or None when it has to be looked up."""
        row, until = self._rows.get(client_id, (None, 0.0))
        return row if self._clock() < until else None

    def keep(self, row: ClientRow) -> None:
        """Keep a row that was just read."""
        with self._lock:
            if len(self._rows) >= MOST:
                self._rows.clear()
            self._rows[row.client_id] = (row, self._clock() + LIFE_S)

    def forget(self, client_id: str) -> None:
        """Look a client up anew."""
        with self._lock:
            self._rows.pop(client_id, None)
