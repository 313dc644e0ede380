"""Whose passkey it is: the signed word of the node that enrolled the person.

A passkey says nothing about its holder. The consent node, which identified the person, attests that
the key is theirs: for this key, under these pairwise handles, on this site. The artefact names the
attestation by its hash, so the person signs it too; it travels beside the passkey's signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from consent.fields import Fields
from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.cose_keys import MAX_KEY_BYTES, parse_cose_key
from protocols.errors import SignatureInvalid
from protocols.jws import sign_general, unverified_payload, verify_general
from protocols.keys import SigningKey, VerifyKey

TYPE: Final = "credence.subject-attestation/1"
MAX_BODY_BYTES: Final = 2048
MAX_JWS_BYTES: Final = 3072
MAX_ORIGINS: Final = 4

# How the enrolling node knows that the key's holder is the person.
IDENTIFICATIONS: Final = ("customer_sign_in", "identity_document", "in_branch", "oidc")


class AttestationInvalid(SignatureInvalid):
    """A passkey's consent does not come with the attestation of whose passkey it is."""

    code = "attestation_invalid"
    next_step = "Prepare the consent again at the consent node, and have the person confirm it."


@dataclass(frozen=True, slots=True)
class SubjectAttestation:
    """What the enrolling node attests.

    Attributes:
        controller: member id of the node.
        key: the person's passkey, a COSE key.
        handles_sha256: hash of the artefact's handles, by which each party finds the person.
        handle_epoch: key epoch of the handles.
        rp_id: domain of the site that the passkey belongs to.
        origins: pages of it that may ask for a signature, sorted.
        identified_by: one of `IDENTIFICATIONS`.
        identified_at_ms: when, UTC milliseconds.
    """

    controller: str
    key: bytes
    handles_sha256: bytes
    handle_epoch: int
    rp_id: str
    origins: tuple[str, ...]
    identified_by: str
    identified_at_ms: int

    def body(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical_json({
            "type": TYPE,
            "controller": self.controller,
            "key": self.key.hex(),
            "handles_sha256": self.handles_sha256.hex(),
            "handle_epoch": self.handle_epoch,
            "rp_id": self.rp_id,
            "origins": list(self.origins),
            "identified_by": self.identified_by,
            "identified_at_ms": self.identified_at_ms,
        })  # fmt: skip

    @property
    def sha256(self) -> bytes:
        """By which an artefact names it, 32 bytes."""
        return sha256(self.body())

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read an attestation's body.

        Raises:
            Malformed: too large, not canonical, or a field missing, unknown or out of its grammar.
        """
        fields = Fields(parse_canonical(body, max_bytes=MAX_BODY_BYTES), "the attestation")
        fields.constant("type", TYPE)
        found = cls(
            controller=fields.member("controller"),
            key=fields.octets("key", MAX_KEY_BYTES),
            handles_sha256=fields.digest("handles_sha256"),
            handle_epoch=fields.integer("handle_epoch", 0, 2**31),
            rp_id=fields.prose("rp_id", 1, 253),
            origins=fields.words("origins", _is_origin, 1, MAX_ORIGINS),
            identified_by=fields.choice("identified_by", IDENTIFICATIONS),
            identified_at_ms=fields.time_ms("identified_at_ms"),
        )
        fields.end()
        parse_cose_key(found.key)
        return found


def hash_of_handles(handles: Mapping[str, bytes]) -> bytes:
    """SHA-256 of an artefact's handles in canonical JSON, 32 bytes."""
    return sha256(canonical_json({member: one.hex() for member, one in handles.items()}))


def sign_attestation(attestation: SubjectAttestation, node_key: SigningKey) -> bytes:
    """The attestation as a JWS with the enrolling node's signature."""
    return sign_general(attestation.body(), [(node_key.verify_key.key_id, node_key)])


def read_attestation(jws: bytes, expected_sha256: bytes | None) -> SubjectAttestation:
    """Read an attestation that a signed document names by its hash.

    Whoever signed the document vouches for it; its own signature is for `verify_attestation`.

    Raises:
        Malformed: it is not an attestation in canonical bytes.
        AttestationInvalid: it is another one than the document names.
    """
    body = unverified_payload(jws, max_bytes=MAX_JWS_BYTES)
    if expected_sha256 is None or sha256(body) != expected_sha256:
        raise AttestationInvalid("the consent comes with another attestation than it names")
    return SubjectAttestation.parse(body)


def verify_attestation(jws: bytes, node_key: VerifyKey) -> None:
    """Check the enrolling node's signature.

    Raises:
        Malformed: it is not a JWS of this profile.
        SignatureInvalid: the node, and nobody else, has not signed it.
    """
    verify_general(jws, {node_key.key_id: node_key}, max_bytes=MAX_JWS_BYTES)


def _is_origin(text: str) -> bool:
    scheme, _, host = text.partition("://")
    return scheme in {"https", "http"} and 1 <= len(host) <= 260 and host.isprintable()
