"""Model bundles at a node: fetched from the coordinator, verified, stored, activated.

A bundle is put in force only when
  1. it comes as one signed manifest and then tensors, within the size limits;
  2. the manifest is signed by the network's directory key, as a document of kind "bundle";
  3. its tensors hash to what the manifest says, and are those of its architecture;
  4. its version is the one that was asked for;
  5. it reads the signal catalogue in force here;
  6. it is not older than the active one.
Storing, activating and the audit leaf are one transaction.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import structlog

from audit.database import Connection, Database
from audit.leaf import Entry
from models.bundle import MAX_TENSOR_BYTES, Bundle
from models.catalogue import Catalogue
from node.storage import bundles as rows
from protocols.documents import Document, from_proto, verify_document
from protocols.errors import CredenceError, Malformed
from protocols.keys import VerifyKey
from protocols.v1.membership_pb2 import BundlePiece

log = structlog.get_logger(__name__)


class BundleNotForUs(CredenceError):
    """A bundle that is signed and whole, but must not be put in force here."""

    code = "bundle_not_for_us"
    category = "conflict"
    next_step = "Refresh the catalogue, then fetch again; the active bundle stays in force."


class Log(Protocol):
    """The part of the audit log that is used here."""

    def append(self, connection: Connection, entry: Entry) -> Any:
        """Append an entry in the caller's transaction."""


class Bundles:
    """This node's bundles.

    Args:
        database: the node's.
        audit: its log.
        member_id: this node.
        directory_key: the pinned key of the network; raises before the node has joined.
        catalogue: the catalogue in force.
        fetch: asks the coordinator for a version (empty: the one in force), in pieces.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        audit: Log,
        member_id: str,
        directory_key: Callable[[], VerifyKey],
        catalogue: Callable[[], Catalogue],
        fetch: Callable[[str], Iterable[BundlePiece]],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._member_id = member_id
        self._directory_key = directory_key
        self._catalogue = catalogue
        self._fetch = fetch
        self._now_ms = now_ms

    def active_version(self) -> str | None:
        """The version in force, or None before the first."""
        with self._database.read() as connection:
            return rows.active_version(connection)

    def fetch_and_activate(self, version: str = "") -> str:
        """Fetch a bundle and put it in force; one that is in force already changes nothing.

        Args:
            version: which; empty: the one in force at the coordinator.

        Returns:
            The version in force here afterwards.

        Raises:
            NotFound: the coordinator has no such bundle.
            Malformed, SignatureInvalid, BundleInvalid, BundleNotForUs: a check fails; what was in
                force stays.
        """
        if version and version == self.active_version():
            return version
        document, tensors = _joined(self._fetch(version))
        # 2. Signature.
        body = verify_document(document, self._directory_key(), "bundle")
        # 3. Hash and shapes.
        bundle = Bundle.load(body, tensors)
        manifest = bundle.manifest
        # 4. Version.
        if version and manifest.version != version:
            raise BundleNotForUs(f"asked for bundle {version}, got another")
        # 5. Catalogue.
        if manifest.catalogue_sha256 != self._catalogue().sha256:
            raise BundleNotForUs(f"bundle {manifest.version} reads another catalogue")
        with self._database.write() as connection:
            # 6. Not older.
            self._refuse_older(connection, bundle)
            self._activate(connection, bundle, document, tensors)
        log.info("bundle.activated", version=manifest.version)
        return manifest.version

    def _refuse_older(self, connection: Connection, bundle: Bundle) -> None:
        row = rows.active(connection)
        if row is None:
            return
        active = Bundle.load(row.manifest, row.tensors).manifest
        if bundle.manifest.created_at_ms < active.created_at_ms:
            raise BundleNotForUs(f"bundle {bundle.version} is older than {active.version}")

    def _activate(
        self, connection: Connection, bundle: Bundle, document: Document, tensors: bytes
    ) -> None:
        at_ms = self._now_ms()
        held = rows.find(connection, bundle.version)
        if held is None:
            row = rows.BundleRow(
                version=bundle.version,
                manifest=document.body,
                signature=document.signature,
                key_id=document.key_id,
                tensors=tensors,
                active=False,
                received_at_ms=at_ms,
            )
            rows.add(connection, row)
        elif held.manifest != document.body:
            raise BundleNotForUs(f"there are two different bundles {bundle.version}")
        elif held.active:
            return
        rows.activate(connection, bundle.version)
        facts = {"version": bundle.version, "tensors_sha256": bundle.manifest.tensors_sha256}
        entry = Entry(
            kind="bundle.activated",
            actor=self._member_id,
            purpose="",
            correlation=bundle.manifest.campaign_id,
            payload=facts,
            subject=None,
            at_ms=at_ms,
        )
        self._audit.append(connection, entry)


def _joined(pieces: Iterable[BundlePiece]) -> tuple[Document, bytes]:
    # 1. Manifest first and once, then tensors, within limits.
    manifest: Document | None = None
    parts: list[bytes] = []
    for piece in pieces:
        kind = piece.WhichOneof("piece")
        if kind == "manifest" and manifest is None:
            manifest = from_proto(piece.manifest)
        elif kind == "tensors" and manifest is not None:
            parts.append(piece.tensors)
        else:
            raise Malformed("a bundle is one manifest and then its tensors")
        if sum(map(len, parts)) > MAX_TENSOR_BYTES:
            raise Malformed(f"a bundle's tensors are at most {MAX_TENSOR_BYTES} bytes")
    if manifest is None:
        raise Malformed("a bundle without a manifest")
    return manifest, b"".join(parts)
