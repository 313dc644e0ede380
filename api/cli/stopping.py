"""When a long-running command ends: on SIGINT, on SIGTERM, or with the process that started it."""

import os
import signal
import threading
import time

PARENT_CHECK_S = 0.5


def stop_event(*, exit_with_parent: bool) -> threading.Event:
    """An event that is set when the process has to end; call from the main thread.

    Args:
        exit_with_parent: also when the parent process is gone, so that a killed supervisor leaves
            nobody behind.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if exit_with_parent:
        threading.Thread(
            target=_watch, args=(os.getppid(), stop), name="parent-watch", daemon=True
        ).start()
    return stop


def _watch(parent: int, stop: threading.Event) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    stop.set()
