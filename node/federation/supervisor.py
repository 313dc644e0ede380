"""Keeps the training worker of `credence node run` alive; holds no torch itself.

The worker is started, started again when it ends (soon at first, then less often), and stopped with
its node: asked, then killed. The pipe to its standard input closes however this process ends, and
the worker ends with it.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
STABLE_S = 60.0  # a worker that lived so long is started again at once
STOP_S = 5.0


class Supervisor:
    """One worker process; `start` and `stop` once each.

    Args:
        home: the node's home directory.
        command: what to run instead of the worker, for tests.
    """

    def __init__(self, home: Path, command: list[str] | None = None) -> None:
        self._command = command or [
            sys.executable, "-m", "node.federation.worker", str(home), "--supervised",
        ]  # fmt: skip
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="supervisor", daemon=True)
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Process id of the running worker, or None."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def start(self) -> None:
        """Start the worker."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the worker and wait for its end."""
        with self._lock:
            self._stopping.set()
            child = self._child
        if child is not None:
            _end(child)
        self._thread.join(timeout=STOP_S)

    def _keep(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                child = self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE)  # noqa: S603 - our own command
                self.starts += 1
            started = time.monotonic()
            code = child.wait()
            if child.stdin is not None:
                child.stdin.close()
            if self._stopping.is_set():
                return
            wait = FIRST_WAIT_S if time.monotonic() - started > STABLE_S else wait
            log.warning("worker.ended", code=code, next_start_s=wait)
            if self._stopping.wait(wait):
                return
            wait = min(wait * 2, LONGEST_WAIT_S)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
