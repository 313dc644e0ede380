"""What stands somewhere in a node and is only looked at when somebody asks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from audit.database import Database
from audit.store import AuditLog
from audit.witness_state import Gate, Operation, Standing
from node.scoring.service import ScoringService
from node.storage import bundles
from protocols.errors import CredenceError


@dataclass(frozen=True, slots=True)
class Gauge:
    """One value.

    Attributes:
        name: as in Prometheus.
        help: what it is.
        labels: by name; few values each.
        value: now.
    """

    name: str
    help: str
    labels: dict[str, str]
    value: float


class Gauges:
    """Looks; what cannot be read is left out rather than made up."""

    def __init__(
        self, database: Database, audit: AuditLog, gate: Gate, scoring: ScoringService
    ) -> None:
        self._database = database
        self._audit = audit
        self._gate = gate
        self._scoring = scoring

    def read(self) -> list[Gauge]:
        """Models in use, the log's size and standing, who waits."""
        found: list[Gauge] = []
        for look in (self._models, self._log, self._standing, self._queues):
            found += _or_nothing(look)
        return found

    def _models(self) -> list[Gauge]:
        with self._database.read() as connection:
            in_use = bundles.in_use(connection)
        text = "Versions of the model in use and of its challenger; always 1."
        return [
            Gauge("credence_model_info", text, {"role": role, "version": version}, 1.0)
            for role, version in zip(("active", "challenger"), in_use, strict=True)
            if version is not None
        ]

    def _log(self) -> list[Gauge]:
        size = self._audit.head().size
        return [Gauge("credence_log_entries", "Entries of the audit log.", {}, float(size))]

    def _standing(self) -> list[Gauge]:
        now = self._gate.standings()[Operation.SCORE]
        text = "How the log stands before its witnesses: 1 at the standing that scores have."
        return [
            Gauge("credence_log_standing", text, {"standing": one.value}, float(one is now))
            for one in Standing
        ]

    def _queues(self) -> list[Gauge]:
        text = "Score calls that wait for their group, or for holders."
        return [
            Gauge("credence_score_queue", text, {"queue": name}, float(depth))
            for name, depth in self._scoring.depths().items()
        ]


def _or_nothing(look: Callable[[], Iterable[Gauge]]) -> list[Gauge]:
    try:
        return list(look())
    except CredenceError:
        return []
