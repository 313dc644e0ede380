"""When a long-running command ends: on SIGINT, on SIGTERM, or with the process that started it."""

import os
import signal
import threading
import time
from typing import Annotated

import typer

PARENT_CHECK_S = 0.5

Parent = Annotated[
    int | None,
    typer.Option("--parent", help="Stop when this process is no longer the parent.", metavar="PID"),
]


def stop_event(*, parent: int | None) -> threading.Event:
    """An event that is set when the process has to end; call from the main thread.

    Args:
        parent: also when this process is no longer our parent, so that a killed supervisor leaves
            nobody behind, not even a child that was only starting.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if parent is not None:
        threading.Thread(
            target=_watch, args=(parent, stop), name="parent-watch", daemon=True
        ).start()
    return stop


def _watch(parent: int, stop: threading.Event) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    stop.set()
