"""The file of a node's secret keys: sealed under a key-encryption key that stands beside it.

`kek` (32 random bytes, mode 0600) may be moved to a secret store; `keys.sealed` is of no use
without it. The file is replaced whole, by one process at a time.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from protocols.errors import HomeUnusable
from protocols.keystore import open_keys, seal_keys

KEK_FILE = "kek"
KEYS_FILE = "keys.sealed"
LOCK_FILE = "keys.lock"


class KeyFile:
    """Named secrets of one home."""

    def __init__(self, home: Path) -> None:
        """Read the key-encryption key of `home`.

        Raises:
            HomeUnusable: it cannot be read.
        """
        self.home = home
        try:
            self.kek = (home / KEK_FILE).read_bytes()
        except OSError as error:
            raise HomeUnusable(f"the keys in {home} cannot be read: {error.strerror}") from error

    def read(self) -> dict[str, bytes]:
        """All secrets by name.

        Raises:
            HomeUnusable: the file cannot be read.
            SignatureInvalid: it was sealed under another key, or changed.
        """
        try:
            sealed = (self.home / KEYS_FILE).read_bytes()
        except OSError as error:
            raise HomeUnusable(
                f"the keys in {self.home} cannot be read: {error.strerror}"
            ) from error
        return open_keys(self.kek, sealed)

    def change(self, change: Callable[[dict[str, bytes]], Mapping[str, bytes]]) -> None:
        """Replace the secrets with what `change` makes of them; call it within `locked`.

        Raises:
            HomeUnusable: the file cannot be written; it is as it was.
        """
        sealed = seal_keys(self.kek, change(self.read()))
        beside = self.home / f"{KEYS_FILE}.new"
        try:
            beside.unlink(missing_ok=True)
            write_secret(beside, sealed)
            beside.replace(self.home / KEYS_FILE)
        except OSError as error:
            raise HomeUnusable(f"cannot write in {self.home}: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only process that changes keys or the certificate in this home."""
        try:
            descriptor = os.open(self.home / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise HomeUnusable(f"cannot lock {self.home}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read; it must not exist yet."""
    # The mode is set at creation: there is no moment in which others may read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
