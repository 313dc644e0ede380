"""By what a document speaks for a person: five declared kinds, each with its own signers.

  device_key  the person's Ed25519 key signs, the consent node countersigns;
  passkey     the person's passkey signs on the consent node's site, which attested whose it is
              (`consent.attestation`); the consent node countersigns;
  account     the person confirmed in a signed-in session with a second factor; the consent node
              alone signs, and the document says so;
  branch      the person signed on paper in a branch; an officer's key signs, over the paper's
              SHA-256, and the consent node countersigns;
  controller  nobody speaks for the person: the consent node alone, for a reason it states.

The first two no institution can make up. The others are marked, so that a holder, a regulator and
the person see how much stands behind them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from consent.fields import HEX_32, WORD, Fields
from protocols.canonical import sha256
from protocols.cose_keys import MAX_KEY_BYTES, parse_cose_key
from protocols.errors import Malformed
from protocols.keys import VerifyKey

DEVICE_KEY: Final = "device_key"
PASSKEY: Final = "passkey"
ACCOUNT: Final = "account"
BRANCH: Final = "branch"
CONTROLLER: Final = "controller"

# By which a person grants; the first two carry the person's own key.
METHODS: Final = (ACCOUNT, BRANCH, DEVICE_KEY, PASSKEY)
KEYED: Final = frozenset({DEVICE_KEY, PASSKEY})

# How a session was confirmed; each has a second factor.
CONFIRMATIONS: Final = ("oidc", "passkey", "password_totp")

# Why a consent node may declare a consent invalid.
REASONS: Final = (
    "court_order",
    "identity_error",
    "key_compromised",
    "not_informed",
    "recorded_in_error",
)
# Why it writes down terms that nobody has granted yet.
REQUESTED: Final = "requested"


@dataclass(frozen=True, slots=True)
class Authority:
    """What stands behind a document.

    Attributes:
        method: one of the five kinds.
        key: the person's key: Ed25519, 32 bytes, or COSE; empty for the other kinds.
        attestation_sha256: of a passkey, hash of the attestation of whose it is.
        confirmed_by: of an account, one of `CONFIRMATIONS`.
        officer_key: of a branch, the officer's Ed25519 key, 32 bytes.
        paper_sha256: of a branch, hash of the scanned paper.
        reason: of the controller, one of `REASONS`.
        actor: of the controller, who decided: a role or a staff reference.
    """

    method: str
    key: bytes = b""
    attestation_sha256: bytes | None = None
    confirmed_by: str = ""
    officer_key: bytes = b""
    paper_sha256: bytes | None = None
    reason: str = ""
    actor: str = ""

    @property
    def kid(self) -> str:
        """Key id of who signs beside the consent node; empty: nobody does."""
        signer = self.key or self.officer_key
        return sha256(signer).hex()[:16] if signer else ""

    @property
    def own_signature(self) -> bool:
        """Whether the person's own key signed."""
        return self.method in KEYED

    def same_person(self, method: str, key: bytes) -> bool:
        """Whether the same kind and key stand behind another document."""
        return self.method == method and self.key == key

    def to_json(self) -> dict[str, Any]:
        """As it stands in a document."""
        if self.method == DEVICE_KEY:
            return {"method": self.method, "key": self.key.hex()}
        if self.method == PASSKEY:
            attested = (self.attestation_sha256 or b"").hex()
            return {"method": self.method, "key": self.key.hex(), "attestation_sha256": attested}
        if self.method == ACCOUNT:
            return {"method": self.method, "confirmed_by": self.confirmed_by}
        if self.method == BRANCH:
            paper = (self.paper_sha256 or b"").hex()
            return {
                "method": self.method,
                "officer_key": self.officer_key.hex(),
                "paper_sha256": paper,
            }
        return {"method": self.method, "reason": self.reason, "actor": self.actor}

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one; whether the kind has a place in the document is for the document.

        Raises:
            Malformed: a field missing, unknown or out of its grammar, or no key.
        """
        method = fields.prose("method", 1, 16)
        reader = _READERS.get(method)
        if reader is None:
            raise Malformed("a consent's authority is of no known kind")
        found = cls(method=method, **reader(fields))
        fields.end()
        return found


def device_key(key: bytes) -> Authority:
    """The authority of a person's Ed25519 key, 32 bytes."""
    return Authority(DEVICE_KEY, key=key)


def passkey(public_key: bytes, attestation_sha256: bytes) -> Authority:
    """The authority of a person's passkey, a COSE key whose holder an attestation names."""
    return Authority(PASSKEY, key=public_key, attestation_sha256=attestation_sha256)


def account(confirmed_by: str) -> Authority:
    """The authority of a session that the person confirmed."""
    return Authority(ACCOUNT, confirmed_by=confirmed_by)


def branch(officer_key: bytes, paper_sha256: bytes) -> Authority:
    """The authority of a paper that an officer saw signed."""
    return Authority(BRANCH, officer_key=officer_key, paper_sha256=paper_sha256)


def controller(reason: str, actor: str) -> Authority:
    """The authority of the consent node itself."""
    return Authority(CONTROLLER, reason=reason, actor=actor)


def _device_key(fields: Fields) -> Mapping[str, Any]:
    key = fields.digest("key")
    return {"key": VerifyKey(key).bytes}


def _passkey(fields: Fields) -> Mapping[str, Any]:
    key = fields.octets("key", MAX_KEY_BYTES)
    parse_cose_key(key)
    return {"key": key, "attestation_sha256": fields.digest("attestation_sha256")}


def _account(fields: Fields) -> Mapping[str, Any]:
    return {"confirmed_by": fields.choice("confirmed_by", CONFIRMATIONS)}


def _branch(fields: Fields) -> Mapping[str, Any]:
    officer = bytes.fromhex(fields.text("officer_key", HEX_32))
    return {"officer_key": officer, "paper_sha256": fields.digest("paper_sha256")}


def _controller(fields: Fields) -> Mapping[str, Any]:
    reason = fields.choice("reason", (*REASONS, REQUESTED))
    return {"reason": reason, "actor": fields.text("actor", WORD)}


_READERS: Final = {
    DEVICE_KEY: _device_key,
    PASSKEY: _passkey,
    ACCOUNT: _account,
    BRANCH: _branch,
    CONTROLLER: _controller,
}
