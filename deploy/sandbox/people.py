"""The people of the sandbox: each signs with a key of their own, as in life with a passkey.

All their keys derive from one secret of the sandbox, so that nothing but that secret is kept.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from protocols.keys import SigningKey

SECRET_BYTES = 32


class Keyring:
    """The keys that the sandbox's people hold."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def create(cls, path: Path) -> "Keyring":
        """Draw the sandbox's secret and keep it at `path`, readable by its owner only."""
        secret = secrets.token_bytes(SECRET_BYTES)
        path.touch(mode=0o600)
        path.write_bytes(secret)
        return cls(secret)

    @classmethod
    def open(cls, path: Path) -> "Keyring":
        """The keyring that `create` made."""
        return cls(path.read_bytes())

    def key_of(self, bank: str, customer_id: str) -> SigningKey:
        """The key of one person."""
        return SigningKey.from_seed(self._derive(f"key|{bank}|{customer_id}"))

    def agrees(self, bank: str, customer_id: str, share: float) -> bool:
        """Whether this person is among the `share` of people who consent."""
        drawn = int.from_bytes(self._derive(f"agrees|{bank}|{customer_id}")[:8], "big")
        return drawn < share * 2**64

    def _derive(self, purpose: str) -> bytes:
        return hmac.digest(self._secret, purpose.encode(), hashlib.sha256)
