"""Starts, watches and stops the processes of a sandbox; leaves none behind.

Each process gets its own session, so that Ctrl-C reaches only the supervisor, which then stops
all in order. Should the supervisor itself be killed, each child sees that its parent is gone
(`--parent`) and stops too.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from protocols.errors import Unavailable

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
WATCH_S = 0.5


class ProcessFailed(Unavailable):
    """A process of the sandbox did not come up, or ended by itself."""

    code = "process_failed"
    retryable = False


@dataclass
class Process:
    """A running child and where its output goes."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 6) -> str:
        """The last lines it printed."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class Supervisor:
    """The processes of one sandbox; a context manager that stops them all."""

    def __init__(self) -> None:
        self._processes: dict[str, Process] = {}
        self._peak_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, name: str, arguments: Sequence[str], log: Path) -> None:
        """Start `credence ARGUMENTS` as a process of its own."""
        with log.open("ab") as output:
            popen = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*credence(), *arguments, "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=child_environment(),
            )
        self._processes[name] = Process(name, popen, log)

    def wait_until(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until `ready()` holds.

        Raises:
            ProcessFailed: the process ended, or was not ready in time; holds its last words.
        """
        process = self._processes[name]
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"{name} was not ready after {START_TIMEOUT_S:.0f} s:\n{process.tail()}",
                    next_step=f"Read {process.log}.",
                )
            time.sleep(0.05)

    def check(self) -> None:
        """Raise if a process has ended by itself.

        Raises:
            ProcessFailed: one has; holds its last words.
        """
        for process in self._processes.values():
            status = process.popen.poll()
            if status is not None:
                raise ProcessFailed(
                    f"{process.name} ended with status {status}:\n{process.tail()}",
                    next_step=f"Read {process.log}.",
                )

    def kill(self, name: str) -> None:
        """End one at once, as a crash would; what it was doing is lost."""
        process = self._processes.pop(name).popen
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()

    def sample_memory(self) -> float:
        """Resident memory of this process and all below it now, in MiB; the peak is kept."""
        own = psutil.Process()
        total = 0
        for process in [own, *own.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self._peak_bytes = max(self._peak_bytes, total)
        return total / 2**20

    @property
    def peak_memory_mib(self) -> float:
        """The largest sum that `sample_memory` saw."""
        return self._peak_bytes / 2**20

    def wait(self) -> None:
        """Watch the processes until one ends by itself or a signal comes.

        Raises:
            ProcessFailed: one ended by itself.
        """
        while True:
            self.check()
            time.sleep(WATCH_S)

    def stop(self) -> None:
        """Stop all, the newest first; kill what does not stop in time."""
        running = [p for p in reversed(self._processes.values()) if p.popen.poll() is None]
        descendants = [child for p in running for child in _descendants(p.popen.pid)]
        for process in running:
            _signal_group(process.popen.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in running:
            try:
                process.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(process.popen.pid, signal.SIGKILL)
                process.popen.wait()
        _, alive = psutil.wait_procs(descendants, timeout=2.0)
        for child in alive:
            child.kill()
        self._processes.clear()


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Let a termination or a hang-up end the block like Ctrl-C, so that all is stopped."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def credence() -> list[str]:
    """The command line that starts this very installation's `credence`."""
    return [sys.executable, "-m", "deploy.command"]


def child_environment() -> dict[str, str]:
    """Children on a small machine: one thread for numerics each, no colour in logs."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
