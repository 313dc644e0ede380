"""One member as the directory lists it, and how that is read back from JSON."""

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self, cast

from protocols.data_classes import is_data_class
from protocols.errors import InvalidInput, Malformed
from protocols.identifiers import check_member_id, check_role, is_endpoint
from protocols.keys import VerifyKey, verify_any
from protocols.member_keys import (
    MAX_EARLIER_CERTIFICATES,
    MAX_EARLIER_KEYS,
    EarlierCertificate,
    EarlierKeys,
    hex32,
)
from protocols.suites import X25519, is_suite_list

Status = Literal["active", "suspended", "revoked", "lapsed"]
# What the coordinator signs; `lapsed` is what a clock makes of an active member.
STATUSES: Final[tuple[Status, ...]] = ("active", "suspended", "revoked")


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """One member as the network knows it.

    Attributes:
        member_id: `[a-z][a-z0-9-]{1,40}`.
        name: legal name, 1 to 120 characters.
        role: one of `protocols.identifiers.ROLES`.
        licence: licence number, up to 120 characters.
        contact: where complaints and breach notices go, up to 200 characters.
        holds: source classes it can answer for, sorted.
        signing_key: 32-byte Ed25519 public key.
        sealing_key: 32-byte X25519 public key.
        certificate_sha256: SHA-256 of its certificate's DER, 32 bytes.
        endpoint: `host:port` of its exchange, or None when it accepts no connection.
        status: active, suspended or revoked.
        joined_at_ms: UTC milliseconds.
        suites: cipher suites it speaks (`protocols.suites`), sorted; numbers may be unknown here.
        licence_until_ms: end of the licence, UTC milliseconds; None: it does not end.
        earlier_keys: keys it has replaced, the newest first.
        earlier_certificates: certificates it has replaced that may still admit it.
    """

    member_id: str
    name: str
    role: str
    licence: str
    contact: str
    holds: tuple[str, ...]
    signing_key: bytes
    sealing_key: bytes
    certificate_sha256: bytes
    endpoint: str | None
    status: Status
    joined_at_ms: int
    suites: tuple[int, ...] = (X25519,)
    licence_until_ms: int | None = None
    earlier_keys: tuple[EarlierKeys, ...] = ()
    earlier_certificates: tuple[EarlierCertificate, ...] = ()

    def __post_init__(self) -> None:
        check_member_id(self.member_id)
        check_role(self.role)
        _check_text("a legal name", self.name, 1, 120)
        _check_text("a licence number", self.licence, 0, 120)
        _check_text("a contact", self.contact, 0, 200)
        if list(self.holds) != sorted(set(self.holds)) or not all(map(is_data_class, self.holds)):
            raise InvalidInput("what a member holds is a sorted list of source classes, each once")
        if {len(self.signing_key), len(self.sealing_key), len(self.certificate_sha256)} != {32}:
            raise InvalidInput("a member's keys and certificate hash are 32 bytes each")
        if self.endpoint is not None and not is_endpoint(self.endpoint):
            raise InvalidInput("an endpoint is host:port")
        if self.status not in {*STATUSES, "lapsed"}:
            raise InvalidInput(f"a member's status is one of {', '.join(STATUSES)}")
        if self.joined_at_ms < 0 or (self.licence_until_ms or 0) < 0:
            raise InvalidInput("a time is in milliseconds since 1970")
        if not is_suite_list(self.suites):
            raise InvalidInput("a member's cipher suites are a sorted list of numbers, each once")
        if (
            len(self.earlier_keys) > MAX_EARLIER_KEYS
            or len(self.earlier_certificates) > MAX_EARLIER_CERTIFICATES
        ):
            raise InvalidInput("a member lists too many keys or certificates that it replaced")

    @property
    def verify_key(self) -> VerifyKey:
        """The member's signature key."""
        return VerifyKey(self.signing_key)

    @property
    def active(self) -> bool:
        """Whether the member may ask and be asked."""
        return self.status == "active"

    def verify_keys(self, at_ms: int) -> tuple[VerifyKey, ...]:
        """The keys under which it may sign at a time, the current one first."""
        earlier = [one.verify_key for one in self.earlier_keys if at_ms < one.until_ms]
        return (self.verify_key, *earlier)

    def sealing_keys(self, at_ms: int) -> tuple[bytes, ...]:
        """Public sealing keys in use at a time, the current one first."""
        earlier = [one.sealing_key for one in self.earlier_keys if at_ms < one.until_ms]
        return (self.sealing_key, *earlier)

    def verify(self, domain: str, message: bytes, signature: bytes, at_ms: int) -> None:
        """Check a signature of this member, made under a key in use at a time.

        Raises:
            SignatureInvalid: it verifies under none of them.
        """
        verify_any(self.verify_keys(at_ms), domain, message, signature)

    def signer_among(self, key_ids: Collection[str]) -> VerifyKey:
        """The key, of now or of any time, that one of `key_ids` names; else the current one.

        For consents only: what they say outlives the keys that signed them.
        """
        keys = (self.verify_key, *(one.verify_key for one in self.earlier_keys))
        return next((key for key in keys if key.key_id in key_ids), self.verify_key)

    def admits(self, certificate_sha256: bytes, at_ms: int) -> bool:
        """Whether a certificate is the current one, or an earlier one within its overlap."""
        admitting = [self.certificate_sha256]
        admitting += [one.sha256 for one in self.earlier_certificates if at_ms < one.until_ms]
        # All of them are compared: a generator would stop at the first.
        return any([hmac.compare_digest(one, certificate_sha256) for one in admitting])  # noqa: C419

    def to_json(self) -> dict[str, Any]:
        """The entry as a JSON object; bytes in hex."""
        return {item.name: _json_value(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read an entry back.

        Raises:
            Malformed: a field is missing, unknown or of the wrong form.
        """
        if not isinstance(value, dict) or set(value) != {item.name for item in fields(cls)}:
            raise Malformed("a directory entry with other fields than it must have")
        try:
            return cls(**{name: _READERS[name](item) for name, item in value.items()})
        except (InvalidInput, TypeError, ValueError) as error:
            raise Malformed("a directory entry with a field of the wrong form") from error


def _check_text(what: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most or not text.isprintable():
        raise InvalidInput(f"{what} is {least} to {most} printable characters")


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, EarlierKeys | EarlierCertificate):
        return value.to_json()
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed("a text is expected")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise Malformed("a time is a whole number")
    return value


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _each(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read_list(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Malformed("a list is expected")
        return tuple(read(item) for item in value)

    return read_list


def _suites(value: Any) -> tuple[int, ...]:
    if not is_suite_list(value):
        raise Malformed("a member's cipher suites are a sorted list of numbers, each once")
    return tuple(cast("list[int]", value))


def _status(value: Any) -> str:
    if value not in STATUSES:
        raise Malformed(f"a member's status is one of {', '.join(STATUSES)}")
    return _text(value)


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "member_id": _text,
    "name": _text,
    "role": _text,
    "licence": _text,
    "contact": _text,
    "holds": _each(_text),
    "signing_key": hex32,
    "sealing_key": hex32,
    "certificate_sha256": hex32,
    "endpoint": _optional(_text),
    "status": _status,
    "joined_at_ms": _whole,
    "suites": _suites,
    "licence_until_ms": _optional(_whole),
    "earlier_keys": _each(EarlierKeys.from_json),
    "earlier_certificates": _each(EarlierCertificate.from_json),
}
