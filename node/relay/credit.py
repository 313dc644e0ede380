"""How many frames more a direction may carry."""

import threading
from collections.abc import Callable

from protocols.relay import DEFAULT_RELAY_LIMITS


class Credit:
    """Frames that may be sent before the other side has read more."""

    def __init__(self, window: int = DEFAULT_RELAY_LIMITS.window) -> None:
        self._window = window
        self._left = window
        self._over = False
        self._changed = threading.Condition()

    def take(self, remaining_s: Callable[[], float]) -> bool:
        """Wait for room for one frame; False when the call ended or its time is over."""
        with self._changed:
            while not self._left and not self._over:
                wait = remaining_s()
                if wait <= 0:
                    return False
                self._changed.wait(min(wait, 3600.0))
            if self._over:
                return False
            self._left -= 1
            return True

    def give(self, frames: int) -> None:
        """The other side has read `frames`."""
        with self._changed:
            self._left = min(self._window, self._left + frames)
            self._changed.notify_all()

    def end(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
