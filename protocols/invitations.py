"""A one-time invitation to join the network, and the one line of text that carries it.

The line travels outside the network (a letter, a secured message): it names the coordinator, pins
its CA and its directory key, and holds the secret that admits the node. `credence-invite:` is
followed by base64url of canonical JSON.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from protocols.canonical import b64url_decode, b64url_encode, canonical_json, parse_canonical
from protocols.errors import CredenceError, InvalidInput
from protocols.identifiers import is_endpoint, is_member_id, is_record_id, new_id

PREFIX: Final = "credence-invite:"
TOKEN_BYTES: Final = 32
MAX_INVITATION_CHARACTERS: Final = 4096


class InvitationInvalid(CredenceError):
    """The text is not an invitation."""

    code = "invitation_invalid"
    category = "invalid"
    next_step = "Paste the whole line that `credence coordinator invite` printed."


class InvitationRefused(CredenceError):
    """No such invitation, or the token is not its token; which of the two is not said."""

    code = "invitation_refused"
    category = "unauthenticated"
    next_step = "Check that the whole invitation was copied, or ask the operator for a new one."


class InvitationUsed(CredenceError):
    """The invitation was used before."""

    code = "invitation_used"
    category = "conflict"
    next_step = "Ask the operator for a new invitation; if it was not you who used it, say so."


class InvitationExpired(CredenceError):
    """The invitation's time is over."""

    code = "invitation_expired"
    category = "forbidden"
    next_step = "Ask the operator for a new invitation."


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a node needs to join. The token is a secret and stays out of the repr.

    Attributes:
        invitation_id: public name of the invitation.
        token: 32 random bytes, accepted once.
        member_id: the member it admits.
        coordinator_endpoint: `host:port` of the mutual-TLS port.
        enrolment_endpoint: `host:port` of the port where a node joins.
        ca_sha256: SHA-256 of the CA certificate's DER.
        directory_key: the 32-byte Ed25519 key that signs the network's documents.
        expires_at_ms: UTC milliseconds.
    """

    invitation_id: str
    token: bytes = field(repr=False)
    member_id: str
    coordinator_endpoint: str
    enrolment_endpoint: str
    ca_sha256: bytes
    directory_key: bytes
    expires_at_ms: int

    def __post_init__(self) -> None:
        lengths = (len(self.token), len(self.ca_sha256), len(self.directory_key))
        if (
            lengths != (TOKEN_BYTES, 32, 32)
            or not is_record_id(self.invitation_id)
            or not is_member_id(self.member_id)
            or not is_endpoint(self.coordinator_endpoint)
            or not is_endpoint(self.enrolment_endpoint)
            or self.expires_at_ms <= 0
        ):
            raise InvalidInput("an invitation has a field of the wrong form")

    def to_text(self) -> str:
        """The line to hand over."""
        body = {
            "v": 1,
            "id": self.invitation_id,
            "token": b64url_encode(self.token),
            "member": self.member_id,
            "coordinator": self.coordinator_endpoint,
            "enrolment": self.enrolment_endpoint,
            "ca_sha256": b64url_encode(self.ca_sha256),
            "directory_key": b64url_encode(self.directory_key),
            "expires_at_ms": self.expires_at_ms,
        }
        return PREFIX + b64url_encode(canonical_json(body))

    @classmethod
    def from_text(cls, text: str) -> "Invitation":
        """Read the line back; blanks around it are fine.

        Raises:
            InvitationInvalid: it is not an invitation, or not a whole one.
        """
        line = text.strip()
        if len(line) > MAX_INVITATION_CHARACTERS or not line.startswith(PREFIX):
            raise InvitationInvalid(f"an invitation is one line that begins with {PREFIX}")
        try:
            body = parse_canonical(
                b64url_decode(line.removeprefix(PREFIX)),
                max_bytes=MAX_INVITATION_CHARACTERS,
                max_depth=1,
            )
            return cls._from_body(body)
        except InvalidInput as error:
            raise InvitationInvalid("the invitation is damaged or incomplete") from error

    @classmethod
    def _from_body(cls, body: Any) -> "Invitation":
        text_fields = (
            "id", "token", "member", "coordinator", "enrolment", "ca_sha256", "directory_key",
        )  # fmt: skip
        if (
            not isinstance(body, dict)
            or set(body) != {"v", "expires_at_ms", *text_fields}
            or not all(isinstance(body[name], str) for name in text_fields)
            or body["v"] != 1
            or type(body["v"]) is not int
            or type(body["expires_at_ms"]) is not int
        ):
            raise InvalidInput("not the fields of an invitation")
        return cls(
            invitation_id=body["id"],
            token=b64url_decode(body["token"]),
            member_id=body["member"],
            coordinator_endpoint=body["coordinator"],
            enrolment_endpoint=body["enrolment"],
            ca_sha256=b64url_decode(body["ca_sha256"]),
            directory_key=b64url_decode(body["directory_key"]),
            expires_at_ms=body["expires_at_ms"],
        )


def new_invitation(
    *,
    member_id: str,
    coordinator_endpoint: str,
    enrolment_endpoint: str,
    ca_sha256: bytes,
    directory_key: bytes,
    expires_at_ms: int,
) -> Invitation:
    """An invitation with a fresh id and token; keep only the token's hash.

    Raises:
        InvalidInput: a field has the wrong form.
    """
    return Invitation(
        invitation_id=new_id("inv"),
        token=secrets.token_bytes(TOKEN_BYTES),
        member_id=member_id,
        coordinator_endpoint=coordinator_endpoint,
        enrolment_endpoint=enrolment_endpoint,
        ca_sha256=ca_sha256,
        directory_key=directory_key,
        expires_at_ms=expires_at_ms,
    )
