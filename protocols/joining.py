"""What a node declares when it joins, bound to the keys it made itself.

The declaration is canonical JSON; the signature by the declared signing key covers declaration
and CSR together, so that neither can be exchanged for another's.
"""

from dataclasses import dataclass, fields
from typing import Any, Final, Self

from protocols.canonical import canonical_json, parse_canonical
from protocols.directory import MemberEntry, Status
from protocols.errors import CredenceError, InvalidInput, Malformed, StateConflict
from protocols.keys import SigningKey, VerifyKey
from protocols.suites import X25519

MAX_DECLARATION_BYTES: Final = 16 * 1024

_DOMAIN: Final = "join"
# By the coordinator, and what stands there until it has.
_ASSIGNED: Final[dict[str, Any]] = {
    "certificate_sha256": "00" * 32,
    "status": "active",
    "joined_at_ms": 0,
    "earlier_keys": [],
    "earlier_certificates": [],
}


class DeclarationMismatch(CredenceError):
    """The node declares to be another member, or in another role, than was invited."""

    code = "declaration_mismatch"
    category = "forbidden"
    next_step = "Set the member id and role that the invitation was made for."


class AlreadyMember(StateConflict):
    """There is a member by that id."""

    code = "already_member"
    next_step = "Choose another member id."


@dataclass(frozen=True, slots=True)
class Declaration:
    """A member's directory entry as the member states it; fields as in `MemberEntry`."""

    member_id: str
    name: str
    role: str
    licence: str
    contact: str
    holds: tuple[str, ...]
    signing_key: bytes
    sealing_key: bytes
    endpoint: str | None
    suites: tuple[int, ...] = (X25519,)
    licence_until_ms: int | None = None

    def __post_init__(self) -> None:
        self.entry(certificate_sha256=bytes(32), joined_at_ms=0)  # one set of rules for both

    def entry(
        self, *, certificate_sha256: bytes, joined_at_ms: int, status: Status = "active"
    ) -> MemberEntry:
        """The directory entry once a certificate is issued.

        Raises:
            InvalidInput: a field has the wrong form.
        """
        declared = {item.name: getattr(self, item.name) for item in fields(self)}
        return MemberEntry(
            **declared,
            certificate_sha256=certificate_sha256,
            status=status,
            joined_at_ms=joined_at_ms,
        )

    def to_body(self) -> bytes:
        """RFC 8785 canonical JSON."""
        entry = self.entry(certificate_sha256=bytes(32), joined_at_ms=0).to_json()
        return canonical_json({k: v for k, v in entry.items() if k not in _ASSIGNED})

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read a declaration.

        Raises:
            Malformed: not canonical JSON, or a field missing, unknown or of the wrong form.
        """
        value = parse_canonical(body, max_bytes=MAX_DECLARATION_BYTES)
        if not isinstance(value, dict) or not set(_ASSIGNED).isdisjoint(value):
            raise Malformed("a declaration with other fields than it must have")
        entry = MemberEntry.from_json({**value, **_ASSIGNED})
        try:
            return cls(**{item.name: getattr(entry, item.name) for item in fields(cls)})
        except InvalidInput as error:
            raise Malformed("a declaration with a field of the wrong form") from error


def sign_join(declaration: bytes, csr_der: bytes, key: SigningKey) -> bytes:
    """Sign a join request with the signing key that the declaration names."""
    return key.sign(_DOMAIN, _joined(declaration, csr_der))


def verify_join(declaration: bytes, csr_der: bytes, signature: bytes) -> Declaration:
    """Check that whoever declares holds the declared signing key and means this CSR.

    Raises:
        Malformed: the declaration does not parse.
        SignatureInvalid: the signature does not verify under the declared key.
    """
    declared = Declaration.from_body(declaration)
    VerifyKey(declared.signing_key).verify(_DOMAIN, _joined(declaration, csr_der), signature)
    return declared


def _joined(declaration: bytes, csr_der: bytes) -> bytes:
    # A JSON object ends at its own brace, so no byte can move from one part to the other.
    return declaration + csr_der
