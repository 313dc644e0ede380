"""What a member asks for when it replaces its keys, signed by the old key and the new.

The old key shows that the member wants it, the new one that it holds what it names. The request
names the key it replaces and its time, so that an earlier request never works again.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.errors import CredenceError, InvalidInput, Malformed, StateConflict
from protocols.identifiers import check_member_id
from protocols.keys import SigningKey, VerifyKey
from protocols.member_keys import hex32

MAX_ROTATION_BYTES: Final = 4 * 1024
MAX_OVERLAP_S: Final = 30 * 86_400
MAX_AGE_MS: Final = 5 * 60_000

RENEWAL_DOMAIN: Final = "renew"  # over the CSR, when only the certificate is replaced

_DOMAIN: Final = "rotate"
_FIELDS: Final = (
    "member_id", "old_signing_key", "signing_key", "sealing_key", "csr_sha256",
)  # fmt: skip
_NUMBERS: Final = ("overlap_s", "issued_at_ms")


class RotationReplayed(StateConflict):
    """The key that the request replaces is not the current one: it was replaced already."""

    code = "rotation_replayed"
    next_step = "Refresh the directory; if it names keys that are not yours, revoke the member."


class RotationExpired(CredenceError):
    """The request was made too long ago, or later than now."""

    code = "rotation_expired"
    category = "invalid"
    next_step = "Ask again; if it stays, compare the clocks of both sides."


class RotationForOther(CredenceError):
    """The request names another member than the connection does."""

    code = "rotation_for_other"
    category = "forbidden"
    next_step = "A member rotates its own keys, over its own connection."


class KeyInUse(StateConflict):
    """A key that is or was some member's."""

    code = "key_in_use"
    next_step = "Make fresh keys; a key belongs to one member and is used once."


@dataclass(frozen=True, slots=True)
class Rotation:
    """A change of keys.

    Attributes:
        member_id: whose keys.
        old_signing_key: 32-byte Ed25519 public key that is replaced.
        signing_key: the new one.
        sealing_key: new 32-byte X25519 public key.
        csr_sha256: SHA-256 of the CSR for the new TLS key, 32 bytes.
        overlap_s: how long the old keys are honoured beside the new ones, seconds.
        issued_at_ms: UTC milliseconds.
    """

    member_id: str
    old_signing_key: bytes
    signing_key: bytes
    sealing_key: bytes
    csr_sha256: bytes
    overlap_s: int
    issued_at_ms: int

    def __post_init__(self) -> None:
        check_member_id(self.member_id)
        lengths = {len(getattr(self, name)) for name in _FIELDS[1:]}
        if lengths != {32} or not 0 <= self.overlap_s <= MAX_OVERLAP_S or self.issued_at_ms < 0:
            raise InvalidInput(
                f"a rotation names keys of 32 bytes and an overlap of at most {MAX_OVERLAP_S} s"
            )

    def to_body(self) -> bytes:
        """RFC 8785 canonical JSON."""
        texts = {name: getattr(self, name).hex() for name in _FIELDS[1:]}
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return canonical_json({"member_id": self.member_id, **texts, **numbers})

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read it back.

        Raises:
            Malformed: not canonical JSON, or a field missing, unknown or of the wrong form.
        """
        value = parse_canonical(body, max_bytes=MAX_ROTATION_BYTES, max_depth=1)
        if not isinstance(value, dict) or set(value) != {*_FIELDS, *_NUMBERS}:
            raise Malformed("a rotation with other fields than it must have")
        if not isinstance(value["member_id"], str) or not all(
            type(value[name]) is int for name in _NUMBERS
        ):
            raise Malformed("a rotation with a field of the wrong form")
        keys: dict[str, Any] = {name: hex32(value[name]) for name in _FIELDS[1:]}
        numbers = {name: value[name] for name in _NUMBERS}
        try:
            return cls(member_id=value["member_id"], **keys, **numbers)
        except InvalidInput as error:
            raise Malformed("a rotation with a field of the wrong form") from error


def sign_rotation(body: bytes, old: SigningKey, new: SigningKey) -> tuple[bytes, bytes]:
    """The signatures by the old and by the new signing key."""
    return old.sign(_DOMAIN, body), new.sign(_DOMAIN, body)


def verify_rotation(
    body: bytes,
    csr_der: bytes,
    old_signature: bytes,
    new_signature: bytes,
    *,
    member_id: str,
    current_key: bytes,
    now_ms: int,
) -> Rotation:
    """Check a request as the coordinator.

    1. It is a rotation, in canonical bytes.
    2. It is about the member that the connection names.
    3. It replaces that member's current signing key.
    4. The old key signed it.
    5. The new key signed it.
    6. The CSR is the one it names.
    7. It was made within five minutes of now.

    Args:
        body: as received.
        csr_der: as received.
        old_signature: by the key that is replaced.
        new_signature: by its successor.
        member_id: of the mutual-TLS caller.
        current_key: its signing key in the directory, 32 bytes.
        now_ms: UTC milliseconds.

    Raises:
        Malformed: 1.
        RotationForOther: 2.
        RotationReplayed: 3.
        SignatureInvalid: 4 or 5.
        InvalidInput: 6.
        RotationExpired: 7.
    """
    # 1
    rotation = Rotation.from_body(body)
    # 2
    if rotation.member_id != member_id:
        raise RotationForOther("the rotation is about another member than the caller")
    # 3
    if rotation.old_signing_key != current_key:
        raise RotationReplayed("the key that the request replaces is not the current one")
    # 4
    VerifyKey(rotation.old_signing_key).verify(_DOMAIN, body, old_signature)
    # 5
    VerifyKey(rotation.signing_key).verify(_DOMAIN, body, new_signature)
    # 6
    if rotation.csr_sha256 != sha256(csr_der):
        raise InvalidInput("the CSR is not the one that the rotation names")
    # 7
    if abs(now_ms - rotation.issued_at_ms) > MAX_AGE_MS:
        raise RotationExpired("the rotation was made too long ago, or later than now")
    return rotation
