"""A node's keys on disk: sealed under a key-encryption key that stands beside them.

`kek` (32 random bytes, mode 0600) may be moved to a secret store; `keys.sealed` is of no use
without it.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from protocols.certificates import make_tls_key
from protocols.errors import HomeUnusable
from protocols.keys import SealingKey, SigningKey
from protocols.keystore import open_keys, seal_keys

KEK_FILE = "kek"
KEYS_FILE = "keys.sealed"
KEY_BYTES = 32


@dataclass(frozen=True, repr=False)
class NodeKeys:
    """What a node keeps secret.

    Attributes:
        signing: the institution's Ed25519 identity.
        sealing: X25519, for pairwise keys with every other member.
        tls: private key of the node's certificate, PEM.
        local_key: 32 bytes, turns pseudonyms into this node's own references.
        audit_index: 32 bytes, keys the audit log's subject index.
        kek: 32 bytes, the key-encryption key.
    """

    signing: SigningKey
    sealing: SealingKey
    tls: bytes
    local_key: bytes
    audit_index: bytes
    kek: bytes


def create_keys(home: Path) -> NodeKeys:
    """Make all keys and write them sealed into `home`."""
    keys = NodeKeys(
        signing=SigningKey.generate(),
        sealing=SealingKey.generate(),
        tls=make_tls_key(),
        local_key=secrets.token_bytes(KEY_BYTES),
        audit_index=secrets.token_bytes(KEY_BYTES),
        kek=secrets.token_bytes(KEY_BYTES),
    )
    sealed = seal_keys(
        keys.kek,
        {
            "signing": keys.signing.seed,
            "sealing": keys.sealing.private,
            "tls": keys.tls,
            "local_key": keys.local_key,
            "audit_index": keys.audit_index,
        },
    )
    write_secret(home / KEK_FILE, keys.kek)
    write_secret(home / KEYS_FILE, sealed)
    return keys


def open_keystore(home: Path) -> NodeKeys:
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
    return NodeKeys(
        signing=SigningKey.from_seed(keys["signing"]),
        sealing=SealingKey.from_bytes(keys["sealing"]),
        tls=keys["tls"],
        local_key=keys["local_key"],
        audit_index=keys["audit_index"],
        kek=kek,
    )


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read; it must not exist yet."""
    # The mode is set at creation: there is no moment in which others may read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
