"""One sandbox at a time in a directory."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protocols.errors import InvalidInput, StateConflict

LOCK_FILE = "sandbox.lock"


class SandboxRunning(StateConflict):
    """Another process runs the sandbox in this directory."""

    code = "sandbox_running"
    next_step = "Stop it with Ctrl-C where it runs, or give another directory with --dir."


@contextmanager
def only_sandbox(root: Path) -> Iterator[None]:
    """Hold the directory until the block ends; the lock goes with the process.

    Raises:
        SandboxRunning: somebody else holds it.
        InvalidInput: the directory cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / LOCK_FILE).open("a")
    except OSError as error:
        raise InvalidInput(
            f"cannot write the sandbox directory {root}: {error.strerror}",
            next_step="Give another directory with --dir, with room and permission to write.",
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SandboxRunning(f"a sandbox is up in {root}") from error
        yield
