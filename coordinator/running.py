"""Which model version each member scores with, as it says when it asks for the release.

It is for the operator to see; nothing is decided by it.
"""

import threading

from audit.database import Database
from coordinator.storage import releases as rows
from coordinator.storage.releases import RunningRow


class Running:
    """Keeps what members say, written down only when it changes; thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._said: dict[str, tuple[str, int]] = {}

    def said(self, member_id: str, version: str, serial: int, at_ms: int) -> None:
        """A member says what it scores with (empty: nothing) and which release it holds.

        Raises:
            DatabaseUnavailable: it cannot be written.
        """
        with self._lock:
            if self._said.get(member_id) == (version, serial):
                return
        with self._database.write() as connection:
            held = rows.running(connection).get(member_id)
            if held is None or (held.version, held.serial) != (version, serial):
                since = at_ms if held is None or held.version != version else held.since_ms
                rows.set_running(connection, RunningRow(member_id, version, serial, since))
        with self._lock:
            self._said[member_id] = (version, serial)

    def every(self) -> dict[str, RunningRow]:
        """What members said last, by member id."""
        with self._database.read() as connection:
            return rows.running(connection)
