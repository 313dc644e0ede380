"""When members were last seen: noted at every call in memory, written down now and then."""

import threading
import time

from coordinator.storage.members import Sighting


class Presence:
    """Collects sightings from many threads until somebody takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, Sighting] = {}

    def note(self, member_id: str, version: int = 0) -> None:
        """A member called just now, and said it holds this directory version (0: none said)."""
        with self._lock:
            before = self._seen.get(member_id)
            version = version or (before.version if before else 0)
            self._seen[member_id] = Sighting(int(time.time() * 1000), version)

    def take(self) -> dict[str, Sighting]:
        """The last sighting of each member since the last take, by member id."""
        with self._lock:
            seen, self._seen = self._seen, {}
        return seen
