"""Work that a running node does again and again in the background."""

import threading
from collections.abc import Callable

import structlog

from protocols.errors import CredenceError

log = structlog.get_logger("node.periodic")


class Periodic:
    """A thread that calls `work`, waits `interval_s`, and so on; `start` and `stop` once each.

    What `work` refuses with a `CredenceError` is logged when it begins and when its code changes,
    and tried again at the next turn.
    """

    def __init__(self, name: str, interval_s: float, work: Callable[[], object]) -> None:
        self._name = name
        self._interval_s = interval_s
        self._work = work
        self._stopping = threading.Event()
        self._failing = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first turn is at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the turn under way, waiting at most 5 s for it."""
        self._stopping.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._turn()
            self._stopping.wait(self._interval_s)

    def _turn(self) -> None:
        try:
            self._work()
        except CredenceError as error:
            if error.code != self._failing:
                log.warning("periodic.failing", work=self._name, code=error.code)
            self._failing = error.code
        except Exception as error:  # noqa: BLE001
            # The thread must outlive it; its text may quote data, its type does not.
            log.error("periodic.failed", work=self._name, error=type(error).__name__)  # noqa: TRY400
        else:
            self._failing = ""
