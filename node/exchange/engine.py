"""The exchange in a process of its own, so that sealing and recording have a core to themselves.

A node's gRPC threads take requests and send answers; they share one interpreter, and with it one
core. The engine is another interpreter on the same home: it is given a group of requests, verifies,
decides, records and seals them (`ExchangeService.answer_group`), and gives the answers back over a
socket pair that nobody else can reach. It opens the home anew when the network's documents change.

It is started when requests crowd; until it is ready they are answered in the node's own process.
An engine that ends is made good in the same way: its group is answered here, and counts once,
because identical bytes do. The engine ends with its node, however that ends.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from node.exchange.service import Asked

if TYPE_CHECKING:
    from node.parts import Node

STOP_S = 5.0
PAUSE_S = 5.0  # from the end of one to the start of the next
CROWD = 4  # requests that wait at one moment

Outcomes = list[bytes | Exception]
Stamp = tuple[int, int]
"""Versions of directory and catalogue that the sender holds."""

log = structlog.get_logger("node.exchange.engine")


class Engine:
    """The node's end; one group at a time, others wait."""

    def __init__(
        self, home: Path, stamp: Callable[[], Stamp], here: Callable[[Sequence[Asked]], Outcomes]
    ) -> None:
        """Prepare an engine; nothing is started.

        Args:
            home: the node's home directory.
            stamp: what the node holds now.
            here: answers a group in this process.
        """
        self._home = home
        self._stamp = stamp
        self._here = here
        self._lock = threading.Lock()
        self._stopped = False
        self._not_before = 0.0  # monotonic seconds
        self._ready = False
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Process id once it is ready; None when none is."""
        child = self._child
        return child.pid if child is not None and self._ready else None

    def start(self, wait_s: float = 0.0) -> None:
        """Start the process unless it runs, and wait up to `wait_s` until it is ready."""
        with self._lock:
            if self._pipe is None and self._may_start():
                self._start()
            self._look(wait_s)

    def stop(self) -> None:
        """End the process; groups are answered here from now on."""
        with self._lock:
            self._stopped = True
            self._end()

    def __call__(self, group: Sequence[Asked]) -> Outcomes:
        """For each request a serialized SealedAnswer, or the error it is refused with."""
        with self._lock:
            if self._pipe is None and len(group) >= CROWD and self._may_start():
                self._start()
            pipe = self._look(0.0)
            if pipe is not None:
                try:
                    pipe.send((self._stamp(), list(group)))
                    outcomes: Outcomes = pipe.recv()
                except (OSError, EOFError) as error:
                    # What it may have committed is found by its nonces.
                    log.warning("engine.ended", error=type(error).__name__)
                    self._end()
                else:
                    return outcomes
        return self._here(group)

    def _may_start(self) -> bool:
        return not self._stopped and time.monotonic() >= self._not_before

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "node.exchange.engine", str(self._home)]
            self._child = subprocess.Popen(  # noqa: S603 - our own command
                [*command, str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self._pipe = Connection(ours.detach())

    def _look(self, wait_s: float) -> Connection | None:
        """The pipe, once the process at its other end is ready."""
        if self._pipe is not None and not self._ready:
            try:
                if self._pipe.poll(wait_s):
                    self._pipe.recv()
                    self._ready = True
                    log.info("engine.ready", pid=self.pid)
            except (OSError, EOFError) as error:
                log.warning("engine.not_started", error=type(error).__name__)
                self._end()
        return self._pipe if self._ready else None

    def _end(self) -> None:
        pipe, child = self._pipe, self._child
        self._pipe, self._child, self._ready = None, None, False
        self._not_before = time.monotonic() + PAUSE_S
        if pipe is not None:
            pipe.close()
        if child is not None:
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def stamp(node: "Node") -> Stamp:
    """What a node holds now."""
    return node.documents.directory().version, node.documents.catalogue().version


def serve(home: Path, pipe: Connection) -> None:
    """Answer groups until the node's end of `pipe` is closed."""
    from node.bootstrap import open_node

    node = open_node(home)
    opened_for = stamp(node)
    try:
        pipe.send(opened_for)
        while True:
            held, group = pipe.recv()
            if held != opened_for:
                node.close()
                node, opened_for = open_node(home), held
            pipe.send(node.exchange.answer_group(group))
    except (EOFError, OSError):
        return  # the node ended
    finally:
        node.close()


def main() -> None:
    """`python -m node.exchange.engine HOME DESCRIPTOR`, started by `Engine`."""
    # A terminal's Ctrl-C goes to the node, which ends this process itself.
    with suppress(PermissionError):
        os.setpgid(0, 0)
    serve(Path(sys.argv[1]), Connection(int(sys.argv[2])))


if __name__ == "__main__":
    main()
