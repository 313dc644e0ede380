"""The model registry: published bundles, served in pieces to the members they are released to.

A bundle is a signed manifest and the tensors that it names by hash; a reader verifies both, so
the registry only has to hand out what was published, unchanged. A member is served what the
release in force lets it score with: champion, challenger, former champions, and a staged version
when it is one of its members. A withdrawn version is served to nobody.
"""

from collections.abc import Iterator

from audit.database import Connection, Database
from coordinator.releases import Releases, State, UnknownBundle, standings
from coordinator.storage import bundles as rows
from coordinator.storage import releases as moves
from protocols.documents import Document, to_proto
from protocols.errors import CredenceError
from protocols.v1.membership_pb2 import BundlePiece

__all__ = ["BundleNotReleased", "BundleRegistry", "UnknownBundle"]

PIECE_BYTES = 1 << 20


class BundleNotReleased(CredenceError):
    """The release in force does not let this member score with that version."""

    code = "bundle_not_released"
    category = "forbidden"
    next_step = "Fetch the newest release and score with the version it names."


class BundleRegistry:
    """Reads of published bundles.

    Args:
        database: the coordinator's.
        releases: which version plays which part.
    """

    def __init__(self, database: Database, releases: Releases) -> None:
        self._database = database
        self._releases = releases

    def find(self, version: str = "") -> rows.BundleRow:
        """The bundle of `version`, whatever its part; empty: the champion.

        Raises:
            UnknownBundle: there is none.
        """
        with self._database.read() as connection:
            return self._find(connection, version)

    def champion(self) -> str | None:
        """The version that members score with, or None."""
        with self._database.read() as connection:
            release = self._releases.current(connection)
        return None if release is None else release.champion

    def standings(self) -> dict[str, State]:
        """The state of every version, oldest first."""
        with self._database.read() as connection:
            return standings(rows.versions(connection), moves.moves(connection))

    def versions(self) -> list[str]:
        """All versions, oldest first."""
        with self._database.read() as connection:
            return rows.versions(connection)

    def pieces(self, member_id: str, version: str = "") -> Iterator[BundlePiece]:
        """What `Membership.GetBundle` streams to a member: the manifest, then the tensors.

        Args:
            member_id: who asks.
            version: of the bundle; empty: the one that this member is to score with.

        Raises:
            UnknownBundle: there is none (raised at the first piece).
            BundleNotReleased: it is not for this member.
        """
        with self._database.read() as connection:
            release = self._releases.current(connection)
            named = release.named_for(member_id) if release is not None else None
            row = self._find(connection, version or named or "")
            known = standings([row.version], moves.moves(connection))
        state = known[row.version]
        if state not in {"champion", "challenger", "retired"} and row.version != named:
            raise BundleNotReleased(f"bundle {row.version} is {state}, not for {member_id}")
        manifest = Document("bundle", 0, row.manifest, row.signature, row.key_id)
        yield BundlePiece(manifest=to_proto(manifest))
        for start in range(0, len(row.tensors), PIECE_BYTES):
            yield BundlePiece(tensors=row.tensors[start : start + PIECE_BYTES])

    def _find(self, connection: Connection, version: str) -> rows.BundleRow:
        if not version:
            release = self._releases.current(connection)
            version = (release.champion if release is not None else None) or ""
        row = rows.find(connection, version) if version else None
        if row is None:
            raise UnknownBundle(f"no bundle {version}" if version else "no bundle is released")
        return row
