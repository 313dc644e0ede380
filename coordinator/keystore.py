"""The coordinator's keys on disk: sealed under a key-encryption key that stands beside them.

`kek` (32 random bytes, mode 0600) may be moved to a secret store; `keys.sealed` is of no use
without it.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from protocols.certificates import make_tls_key
from protocols.errors import HomeUnusable
from protocols.keys import SigningKey
from protocols.keystore import open_keys, seal_keys

KEK_FILE = "kek"
KEYS_FILE = "keys.sealed"


@dataclass(frozen=True, repr=False)
class CoordinatorKeys:
    """What a coordinator keeps secret.

    Attributes:
        ca: private key of the members' certificate authority, PEM.
        tls: private key of the coordinator's own certificate, PEM.
        directory: signs directories, catalogues, plans and bundles.
        audit_index: 32 bytes, keys the audit log's subject index.
        kek: 32 bytes, the key-encryption key.
    """

    ca: bytes
    tls: bytes
    directory: SigningKey
    audit_index: bytes
    kek: bytes


def create_keys(home: Path, ca: bytes) -> CoordinatorKeys:
    """Make all keys but the authority's, and write them sealed into `home`."""
    keys = CoordinatorKeys(
        ca=ca,
        tls=make_tls_key(),
        directory=SigningKey.generate(),
        audit_index=secrets.token_bytes(32),
        kek=secrets.token_bytes(32),
    )
    sealed = seal_keys(
        keys.kek,
        {
            "ca": keys.ca,
            "tls": keys.tls,
            "directory": keys.directory.seed,
            "audit_index": keys.audit_index,
        },
    )
    _write_secret(home / KEK_FILE, keys.kek)
    _write_secret(home / KEYS_FILE, sealed)
    return keys


def open_keystore(home: Path) -> CoordinatorKeys:
    """Read and unseal the keys of `home`.

    Raises:
        HomeUnusable: a file is missing or unreadable.
        SignatureInvalid: the keys were sealed under another key, or changed.
    """
    try:
        kek = (home / KEK_FILE).read_bytes()
        sealed = (home / KEYS_FILE).read_bytes()
    except OSError as error:
        raise HomeUnusable(f"the keys in {home} cannot be read: {error.strerror}") from error
    keys = open_keys(kek, sealed)
    return CoordinatorKeys(
        ca=keys["ca"],
        tls=keys["tls"],
        directory=SigningKey.from_seed(keys["directory"]),
        audit_index=keys["audit_index"],
        kek=kek,
    )


def _write_secret(path: Path, content: bytes) -> None:
    # The mode is set at creation: there is no moment in which others may read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
