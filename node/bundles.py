"""A model bundle as it comes from the coordinator: verified before it is kept.

It is kept only when
  1. it comes as one signed manifest and then tensors, within the size limits;
  2. the manifest is signed by the network's directory key, as a document of kind "bundle";
  3. it is the very manifest whose hash the release in force names for the version asked for;
  4. its tensors hash to what the manifest says, and are those of its architecture;
  5. its version is the one that was asked for;
  6. it reads the signal catalogue in force here.
What is then answered with is `node.releases`'.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from models.bundle import MAX_TENSOR_BYTES, Bundle
from node.storage.bundles import BundleRow
from protocols.documents import Document, from_proto, verify_document
from protocols.errors import CredenceError, Malformed
from protocols.keys import VerifyKey
from protocols.releases import manifest_hash
from protocols.v1.membership_pb2 import BundlePiece


class BundleNotForUs(CredenceError):
    """A bundle that is signed and whole, but must not be used here."""

    code = "bundle_not_for_us"
    category = "conflict"
    next_step = "Refresh the catalogue, then fetch again; the active bundle stays in force."


@dataclass(frozen=True, slots=True)
class Expected:
    """What is asked for: `version`, whose manifest the release names by `manifest_sha256`."""

    version: str
    manifest_sha256: str
    catalogue_sha256: str


def verified(
    pieces: Iterable[BundlePiece], expected: Expected, key: VerifyKey, at_ms: int
) -> BundleRow:
    """A bundle to keep, out of the pieces it came in; see the module's checks.

    Raises:
        Malformed, SignatureInvalid, BundleInvalid, BundleNotForUs: a check fails.
    """
    document, tensors = _joined(pieces)
    # 2. Signature.
    body = verify_document(document, key, "bundle")
    # 3. The release's hash.
    if manifest_hash(document.body) != expected.manifest_sha256:
        raise BundleNotForUs(f"bundle {expected.version} is not the one that the release names")
    # 4. Hash and shapes.
    manifest = Bundle.load(body, tensors).manifest
    # 5. Version.
    if manifest.version != expected.version:
        raise BundleNotForUs(f"asked for bundle {expected.version}, got another")
    # 6. Catalogue.
    if manifest.catalogue_sha256 != expected.catalogue_sha256:
        raise BundleNotForUs(f"bundle {manifest.version} reads another catalogue")
    return BundleRow(
        version=manifest.version,
        manifest=document.body,
        signature=document.signature,
        key_id=document.key_id,
        tensors=tensors,
        active=False,
        received_at_ms=at_ms,
    )


def _joined(pieces: Iterable[BundlePiece]) -> tuple[Document, bytes]:
    # 1. Manifest first and once, then tensors, within limits.
    manifest: Document | None = None
    parts: list[bytes] = []
    size = 0
    for piece in pieces:
        kind = piece.WhichOneof("piece")
        if kind == "manifest" and manifest is None:
            manifest = from_proto(piece.manifest)
        elif kind == "tensors" and manifest is not None:
            parts.append(piece.tensors)
            size += len(piece.tensors)
        else:
            raise Malformed("a bundle is one manifest and then its tensors")
        if size > MAX_TENSOR_BYTES:
            raise Malformed(f"a bundle's tensors are at most {MAX_TENSOR_BYTES} bytes")
    if manifest is None:
        raise Malformed("a bundle without a manifest")
    return manifest, b"".join(parts)
