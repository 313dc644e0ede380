"""When members were last seen: noted at every call in memory, written down now and then."""

import threading
import time


class Presence:
    """Collects sightings from many threads until somebody takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def note(self, member_id: str) -> None:
        """A member called just now."""
        with self._lock:
            self._seen[member_id] = int(time.time() * 1000)

    def take(self) -> dict[str, int]:
        """Sightings since the last take, `{member id: at_ms}`."""
        with self._lock:
            seen, self._seen = self._seen, {}
        return seen
