"""The coordinator's home directory: made whole or not at all, and used by one process at a time."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.settings import SETTINGS_FILE
from protocols.errors import AlreadyRunning, HomeUnusable, StateConflict

LOCK_FILE = "coordinator.lock"
CA_FILE = "ca.pem"
CERTIFICATE_FILE = "certificate.pem"
DATABASE_FILE = "coordinator.db"
DATA_KEYS_FILE = "datakeys.db"


class HomeExists(StateConflict):
    """The directory holds something already."""

    code = "coordinator_home_exists"
    next_step = "Give a new or empty directory."


@contextmanager
def new_home(home: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `home` at the end; on any failure nothing is left.

    Raises:
        HomeExists: `home` is there and not empty.
        HomeUnusable: it cannot be made.
    """
    staging = home.parent / f".{home.name}.{secrets.token_hex(4)}"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        if home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise HomeExists(f"{home} exists and is not empty; it stays as it is")
        staging.mkdir(mode=0o700)
    except OSError as error:
        raise HomeUnusable(f"cannot make {home}: {error.strerror}") from error
    try:
        yield staging
        staging.rename(home)
    except OSError as error:
        raise HomeUnusable(f"cannot write {home}: {error.strerror}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def only_process(home: Path) -> Iterator[None]:
    """Hold the home's lock; the system lets go of it when the process ends, however it ends.

    Raises:
        AlreadyRunning: another process holds it.
        HomeUnusable: it is no coordinator's home, or the lock file cannot be opened.
    """
    if not (home / SETTINGS_FILE).is_file():  # nor is a lock file left where there is none
        raise HomeUnusable(
            f"{home} is not a coordinator's home: there is no {SETTINGS_FILE} in it",
            next_step="Make one with `credence coordinator init HOME`, or correct the path.",
        )
    try:
        descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise HomeUnusable(f"cannot lock {home}: {error.strerror}") from error
    try:
        _lock(descriptor, home)
        yield
    finally:
        os.close(descriptor)


def is_running(home: Path) -> bool:
    """Whether a process holds the home's lock now."""
    try:
        with only_process(home):
            return False
    except AlreadyRunning:
        return True


def _lock(descriptor: int, home: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise AlreadyRunning(f"a coordinator already runs on {home}") from error
