"""Documents of the network: canonical JSON with one Ed25519 signature.

The signature is over `credence/1|<kind>|<body>`, so a document of one kind never passes as
another. A reader verifies before it parses further, and never accepts a version below the one
it holds; that last rule lives with each kind, for example in `protocols.directory.accept`.
"""

from dataclasses import dataclass
from typing import Any, Final

from protocols.canonical import parse_canonical
from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from protocols.keys import SIGNATURE_BYTES, SigningKey, VerifyKey
from protocols.v1.membership_pb2 import SignedDocument

KINDS: Final = (
    "directory",
    "catalogue",
    "bundle",
    "release",
    "plan",
    "watch",
    "ceremony-plan",
    "ceremony",
)
MAX_DOCUMENT_BYTES: Final = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """A signed document as it travels and is stored.

    Attributes:
        kind: one of `KINDS`; also the signature's domain.
        version: the body's `version` when that is an integer, else 0 (bundles and plans are
            named by an id in their body).
        body: RFC 8785 canonical JSON of one object.
        signature: 64 bytes.
        key_id: `VerifyKey.key_id` of the signer.
    """

    kind: str
    version: int
    body: bytes
    signature: bytes
    key_id: str


def sign_document(kind: str, body: bytes, key: SigningKey) -> Document:
    """Sign the canonical bytes of a document.

    Raises:
        InvalidInput: an unknown kind.
        Malformed: `body` is not the canonical JSON of an object, or too large.
    """
    _check_kind(kind)
    parsed = _parse(body)
    return Document(
        kind=kind,
        version=_version(parsed),
        body=body,
        signature=key.sign(kind, body),
        key_id=key.verify_key.key_id,
    )


def verify_document(document: Document, key: VerifyKey, kind: str) -> dict[str, Any]:
    """Verify a document and return its parsed body.

    Checks: 1. kind; 2. size; 3. key id; 4. signature over the bytes as received; 5. canonical
    JSON object; 6. the version beside the body is the version inside it.

    Raises:
        Malformed: checks 1, 2, 5 or 6.
        SignatureInvalid: checks 3 or 4.
    """
    # 1. Kind.
    if document.kind != _check_kind(kind):
        raise Malformed(f"a document of another kind where a {kind} was expected")
    # 2. Size.
    if len(document.body) > MAX_DOCUMENT_BYTES:
        raise Malformed(f"a document is at most {MAX_DOCUMENT_BYTES} bytes")
    # 3. Key id.
    if document.key_id != key.key_id:
        raise SignatureInvalid(f"the {kind} is signed by another key than the one trusted here")
    # 4. Signature.
    key.verify(kind, document.body, document.signature)
    # 5. Canonical JSON.
    parsed = _parse(document.body)
    # 6. Version.
    if document.version != _version(parsed):
        raise Malformed(f"the {kind}'s version is not the one in its body")
    return parsed


def to_proto(document: Document) -> SignedDocument:
    """The wire form of a document."""
    return SignedDocument(
        kind=document.kind,
        body=document.body,
        signature=document.signature,
        key_id=document.key_id,
    )


def from_proto(message: SignedDocument) -> Document:
    """A document from the wire. Nothing is verified yet but its shape: call `verify_document`.

    Raises:
        Malformed: an unknown kind, a wrong length, or a body that is not canonical JSON.
    """
    if message.kind not in KINDS:
        raise Malformed("a document of an unknown kind")
    if len(message.signature) != SIGNATURE_BYTES or len(message.key_id) != 16:
        raise Malformed("a document with a signature or key id of the wrong length")
    return Document(
        kind=message.kind,
        version=_version(_parse(message.body)),
        body=message.body,
        signature=message.signature,
        key_id=message.key_id,
    )


def _check_kind(kind: str) -> str:
    if kind not in KINDS:
        raise InvalidInput(f"a document's kind is one of {', '.join(KINDS)}")
    return kind


def _parse(body: bytes) -> dict[str, Any]:
    parsed = parse_canonical(body, max_bytes=MAX_DOCUMENT_BYTES)
    if not isinstance(parsed, dict):
        raise Malformed("a document's body is one JSON object")
    return parsed


def _version(parsed: dict[str, Any]) -> int:
    version = parsed.get("version", 0)
    return version if type(version) is int else 0
