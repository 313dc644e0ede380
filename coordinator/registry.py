"""The model registry: published bundles, served in pieces.

A bundle is a signed manifest and the tensors that it names by hash; a reader verifies both, so
the registry only has to hand out what was published, unchanged.
"""

from collections.abc import Iterator

from audit.database import Database
from coordinator.storage import bundles as rows
from protocols.documents import Document, to_proto
from protocols.errors import NotFound
from protocols.v1.membership_pb2 import BundlePiece

PIECE_BYTES = 1 << 20


class UnknownBundle(NotFound):
    """No bundle of that version, or none published yet."""

    code = "unknown_bundle"
    next_step = "See the versions with `credence coordinator status`, or train one first."


class BundleRegistry:
    """Reads of published bundles."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, version: str = "") -> rows.BundleRow:
        """The bundle of `version`; empty: the one in force.

        Raises:
            UnknownBundle: there is none.
        """
        with self._database.read() as connection:
            row = rows.find(connection, version) if version else rows.newest(connection)
        if row is None:
            raise UnknownBundle(f"no bundle {version}" if version else "no bundle is published")
        return row

    def versions(self) -> list[str]:
        """All versions, oldest first."""
        with self._database.read() as connection:
            return rows.versions(connection)

    def pieces(self, version: str = "") -> Iterator[BundlePiece]:
        """What `Membership.GetBundle` streams: the manifest, then the tensors.

        Raises:
            UnknownBundle: there is none (raised at the first piece).
        """
        row = self.find(version)
        manifest = Document("bundle", 0, row.manifest, row.signature, row.key_id)
        yield BundlePiece(manifest=to_proto(manifest))
        for start in range(0, len(row.tensors), PIECE_BYTES):
            yield BundlePiece(tensors=row.tensors[start : start + PIECE_BYTES])
