"""What this node shows of itself in TLS, read from its home and read again when it was renewed."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

from node.keystore import NodeKeys
from node.network.documents import NotJoined
from node.network.joining import CA_FILE, CERTIFICATE_FILE
from node.network.transport import TlsIdentity
from protocols.certificate_facts import is_key_of
from protocols.certificates import CertificateRefused
from protocols.errors import HomeUnusable


class OwnIdentity:
    """Gives the identity at every call; thread-safe. A call that finds nothing new is one stat."""

    def __init__(self, home: Path, keys: NodeKeys, replaced: Callable[[], None]) -> None:
        """Read from `home`.

        Args:
            home: the node's home directory.
            keys: its secrets.
            replaced: called when another certificate is found, before it is used: whoever put it
                there has stored the directory that names it.
        """
        self._home = home
        self._keys = keys
        self._replaced = replaced
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._held: TlsIdentity | None = None

    def __call__(self) -> TlsIdentity:
        """The network's CA, the certificate, and the private key that it is for.

        Raises:
            NotJoined: there is no certificate yet.
            CertificateRefused: it is for none of this node's keys.
            HomeUnusable: a file cannot be read.
        """
        path = self._home / CERTIFICATE_FILE
        try:
            found = path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            with self._lock:
                if self._held is None or seen != self._seen:
                    if self._held is not None:
                        self._replaced()
                    self._held = self._read(path)
                    self._seen = seen
                return self._held
        except FileNotFoundError as error:
            raise NotJoined("this node has no certificate yet") from error
        except OSError as error:
            raise HomeUnusable(
                f"the certificates in {self._home} cannot be read: {os.strerror(error.errno or 0)}"
            ) from error

    def _read(self, path: Path) -> TlsIdentity:
        ca = (self._home / CA_FILE).read_bytes()
        certificate = path.read_bytes()
        for key in self._keys.tls_keys():
            if is_key_of(key, certificate):
                return TlsIdentity(ca, certificate, key)
        raise CertificateRefused("the certificate is for none of this node's keys")
