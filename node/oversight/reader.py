"""One institution as its supervisor sees it in the morning. It names nobody.

Everything is read in the caller's transaction, which carries the leaf of the reading
(`audit.oversight`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from audit.database import Connection
from audit.incidents import Incident, every
from node.oversight.counts import shown
from node.storage import oversight as rows
from node.storage.oversight import DAY_MS, DeadlineRow, ModelRow, SpentRow

DAYS = 28
PURPOSES = ("score", "train", "monitor")
# Those in force first.
STATES = (
    "active", "paused", "requested", "withdrawn", "expired", "superseded", "invalidated",
    "refused", "lapsed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Day:
    """What was answered on one day (UTC); None: some, but fewer than are shown."""

    starts_at_ms: int
    releases: int | None
    refusals: int | None
    scores: int | None


@dataclass(frozen=True, slots=True)
class Epsilon:
    """A population's ledger beside its ceiling; `ceiling_alone` None: there is none."""

    spent: SpentRow
    ceiling: float
    ceiling_alone: float | None


@dataclass(frozen=True, slots=True)
class Institution:
    """What the dashboard of one institution shows.

    Attributes:
        consents: (state, purpose) -> count as it may be shown; absent: none.
        days: the last four weeks, the oldest first.
        waiting: open requests of people, by deadline.
        epsilon: each population's ledger.
        models: versions taken up, the newest first.
        incidents: open ones first.
        documents: versions in force.
    """

    consents: Mapping[tuple[str, str], int | None]
    days: tuple[Day, ...]
    waiting: tuple[DeadlineRow, ...]
    epsilon: tuple[Epsilon, ...]
    models: tuple[ModelRow, ...]
    incidents: tuple[Incident, ...]
    documents: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class InstitutionReader:
    """Reads one node.

    Attributes:
        max_epsilon, max_epsilon_alone: the ceilings of its settings.
    """

    max_epsilon: float
    max_epsilon_alone: float | None

    def read(self, connection: Connection, now_ms: int) -> Institution:
        """All of it."""
        return Institution(
            consents=self.consents(connection),
            days=self.days(connection, now_ms),
            waiting=tuple(rows.deadlines(connection, ended=False)),
            epsilon=self.epsilon(connection),
            models=tuple(rows.models(connection)),
            incidents=tuple(every(connection)),
            documents=rows.document_versions(connection),
        )

    def consents(self, connection: Connection) -> dict[tuple[str, str], int | None]:
        """Counts of consents as they may be shown."""
        return {place: shown(one) for place, one in rows.consent_counts(connection).items()}

    def days(self, connection: Connection, now_ms: int) -> tuple[Day, ...]:
        """Releases, refusals and scores of the last four weeks."""
        last = now_ms // DAY_MS
        first = last - DAYS + 1
        releases = rows.releases_by_day(connection, first * DAY_MS)
        scores = rows.scores_by_day(connection, first * DAY_MS)
        return tuple(
            Day(
                starts_at_ms=day * DAY_MS,
                releases=shown(releases.get((day, False), 0)),
                refusals=shown(releases.get((day, True), 0)),
                scores=shown(scores.get(day, 0)),
            )
            for day in range(first, last + 1)
        )

    def deadlines(self, connection: Connection) -> tuple[list[DeadlineRow], list[DeadlineRow]]:
        """Requests that wait and such that have ended."""
        return rows.deadlines(connection, ended=False), rows.deadlines(connection, ended=True)

    def epsilon(self, connection: Connection) -> tuple[Epsilon, ...]:
        """Each ledger beside its ceiling."""
        return tuple(
            Epsilon(one, self.max_epsilon, self.max_epsilon_alone)
            for one in rows.epsilon_spent(connection)
        )
