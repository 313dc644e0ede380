"""Keys of the accounts' room, derived from the node's key-encryption key, one for each use.

What is hashed with a key here cannot be guessed from a copy of the database alone: activation and
recovery codes, names and addresses of attempts are short.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from protocols import aead

TOKEN_BYTES = 32
_SEED = b"credence/1|totp-seed|"


@dataclass(frozen=True, slots=True)
class PeopleKeys:
    """The keys, 32 bytes each."""

    codes: bytes = field(repr=False)
    attempts: bytes = field(repr=False)
    challenges: bytes = field(repr=False)
    seal: bytes = field(repr=False)
    tickets: bytes = field(repr=False)

    @classmethod
    def derive(cls, kek: bytes) -> "PeopleKeys":
        """The keys of a node, from its key-encryption key."""

        def of(use: str) -> bytes:
            return hmac.digest(kek, b"credence/1|people|" + use.encode(), "sha256")

        return cls(of("codes"), of("attempts"), of("challenges"), of("seal"), of("tickets"))

    def code_tag(self, use: str, owner: str, code: str) -> bytes:
        """Keyed hash of a code, bound to its use (`activation`, `recovery`) and its owner."""
        return _tag(self.codes, use, owner, code)

    def attempt_tag(self, kind: str, realm: str, text: str) -> bytes:
        """Keyed hash of a name or an address that somebody tried to sign in with or from."""
        return _tag(self.attempts, kind, realm, text)

    def seal_seed(self, account_id: str, seed: str) -> bytes:
        """A TOTP seed at rest; opens for this account only."""
        return aead.encrypt(self.seal, seed.encode(), _SEED + account_id.encode())

    def open_seed(self, account_id: str, sealed: bytes) -> str:
        """The seed that `seal_seed` sealed.

        Raises:
            SignatureInvalid: another account's, or changed bytes.
        """
        return aead.decrypt(self.seal, sealed, _SEED + account_id.encode()).decode()


def new_token() -> bytes:
    """256 random bits."""
    return secrets.token_bytes(TOKEN_BYTES)


def _tag(key: bytes, *parts: str) -> bytes:
    mac = hmac.new(key, digestmod="sha256")
    for part in parts:  # hashed each, so that no two lists of parts are one text
        mac.update(hashlib.sha256(part.encode()).digest())
    return mac.digest()
