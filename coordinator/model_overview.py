"""Model versions as an operator wants to see them: parts, who runs what, how it came to be so."""

from dataclasses import dataclass

from audit.database import Connection, Database
from coordinator.releases import Releases, State, standings
from coordinator.storage import bundles
from coordinator.storage import releases as rows
from coordinator.storage.releases import MoveRow, RunningRow
from protocols.releases import Release


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version.

    Attributes:
        state: see `coordinator.releases`.
        since_ms: since when; None: since it was published.
        members: ids of those that answer with it, by their own word, sorted.
        moves: its own, the oldest first.
    """

    version: str
    state: State
    since_ms: int | None
    members: tuple[str, ...]
    moves: tuple[MoveRow, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it.

    Attributes:
        release: in force, or None before the first.
        versions: the oldest first.
        running: what each member says, by its id.
    """

    release: Release | None
    versions: tuple[VersionView, ...]
    running: dict[str, RunningRow]

    def find(self, version: str) -> VersionView | None:
        """One version, or None."""
        return next((one for one in self.versions if one.version == version), None)


def overview(database: Database, releases: Releases) -> Overview:
    """What stands in the registry now, in one snapshot.

    Raises:
        SignatureInvalid: the release was changed in the database.
    """
    with database.read() as connection:
        return _overview(connection, releases)


def _overview(connection: Connection, releases: Releases) -> Overview:
    moves, running = rows.moves(connection), rows.running(connection)
    states = standings(bundles.versions(connection), moves)
    versions = []
    for version, state in states.items():
        own = tuple(one for one in moves if one.version == version)
        members = sorted(one.member_id for one in running.values() if one.version == version)
        since_ms = own[-1].at_ms if own else None
        versions.append(VersionView(version, state, since_ms, tuple(members), own))
    return Overview(releases.current(connection), tuple(versions), running)
