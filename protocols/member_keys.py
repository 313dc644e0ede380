"""Keys and certificates that a member has replaced, as the directory still lists them.

Others learn of a change with the next directory, each in its own time. So what was replaced is
honoured for a while beside what is new (`until_ms`). After that an earlier signing key verifies
only what outlives its making: consents, whose signatures stay in the files of several parties.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from protocols.errors import InvalidInput, Malformed
from protocols.keys import VerifyKey

MAX_EARLIER_KEYS: Final = 16
MAX_EARLIER_CERTIFICATES: Final = 4


@dataclass(frozen=True, slots=True)
class EarlierKeys:
    """A signing and a sealing key that a member has replaced.

    Attributes:
        signing_key: 32-byte Ed25519 public key.
        sealing_key: 32-byte X25519 public key.
        rotated_at_ms: when its successor entered the directory, UTC milliseconds.
        until_ms: until then requests, answers and handles under it are honoured.
    """

    signing_key: bytes
    sealing_key: bytes
    rotated_at_ms: int
    until_ms: int

    def __post_init__(self) -> None:
        if {len(self.signing_key), len(self.sealing_key)} != {32}:
            raise InvalidInput("a member's keys are 32 bytes each")
        if not 0 <= self.rotated_at_ms <= self.until_ms:
            raise InvalidInput("an earlier key is honoured from its replacement on")

    @property
    def verify_key(self) -> VerifyKey:
        """The signing key."""
        return VerifyKey(self.signing_key)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; bytes in hex."""
        return {
            "signing_key": self.signing_key.hex(),
            "sealing_key": self.sealing_key.hex(),
            "rotated_at_ms": self.rotated_at_ms,
            "until_ms": self.until_ms,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read it back.

        Raises:
            Malformed: a field is missing, unknown or of the wrong form.
            InvalidInput: the fields do not fit together.
        """
        fields = _fields(value, {"signing_key", "sealing_key", "rotated_at_ms", "until_ms"})
        return cls(
            signing_key=hex32(fields["signing_key"]),
            sealing_key=hex32(fields["sealing_key"]),
            rotated_at_ms=_whole(fields["rotated_at_ms"]),
            until_ms=_whole(fields["until_ms"]),
        )


@dataclass(frozen=True, slots=True)
class EarlierCertificate:
    """A certificate that a member has replaced: its SHA-256 and until when it still admits."""

    sha256: bytes
    until_ms: int

    def __post_init__(self) -> None:
        if len(self.sha256) != 32 or self.until_ms < 0:
            raise InvalidInput("an earlier certificate is a SHA-256 and a time")

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; bytes in hex."""
        return {"sha256": self.sha256.hex(), "until_ms": self.until_ms}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read it back.

        Raises:
            Malformed: a field is missing, unknown or of the wrong form.
        """
        fields = _fields(value, {"sha256", "until_ms"})
        return cls(sha256=hex32(fields["sha256"]), until_ms=_whole(fields["until_ms"]))


def hex32(value: Any) -> bytes:
    """32 bytes of 64 lower-case hex digits.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, str) or len(value) != 64:
        raise Malformed("a key or hash is 64 hex digits")
    try:
        data = bytes.fromhex(value)
    except ValueError as error:
        raise Malformed("a key or hash is 64 hex digits") from error
    if data.hex() != value:
        raise Malformed("hex digits are lower case")
    return data


def _fields(value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise Malformed("an earlier key or certificate with other fields than it must have")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise Malformed("a time is a whole number")
    return value
