"""The challenger, scored in the shadow of answers: what would it have said?

It is scored after the answer has been given out and recorded, on the same signals, under the same
consent; it never is the answer and never fails one. Kept are counts and sums over all people,
first in memory, then in the node's database; nothing of one person, and nothing leaves the node.
"""

import threading
from collections.abc import Callable, Sequence

import structlog

from audit.database import Database
from models.evaluate import Scorer
from models.scale import Band
from node.scoring.evaluation import Evaluated
from node.storage import models
from node.storage.models import Comparison
from node.storage.signals import Signals, matrix
from protocols.errors import CredenceError

log = structlog.get_logger(__name__)


class Shadow:
    """Compares challengers with answers; thread-safe.

    Args:
        database: where `flush` adds up.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], Comparison] = {}

    def observe(
        self, scorer: Scorer, challenger: Scorer, merged: Signals, answered: Evaluated
    ) -> None:
        """Compare one answer with what the challenger would have said; never raises.

        Args:
            scorer: that made the answer.
            challenger: the other one.
            merged: signal id -> (status, value).
            answered: the answer.
        """
        try:
            one = self._compared(scorer, challenger, merged, answered)
        except (CredenceError, ValueError, ArithmeticError) as error:
            log.warning("challenger.failed", error=type(error).__name__)
            one = self._failed(scorer, challenger)
        key = (one.version, one.challenger)
        with self._lock:
            held = self._seen.get(key)
            self._seen[key] = one if held is None else held.plus(one)

    def flush(self) -> None:
        """Add to the database what was seen since the last time.

        Raises:
            DatabaseUnavailable: it cannot be written; it is kept for the next time.
        """
        with self._lock:
            seen, self._seen = self._seen, {}
        if not seen:
            return
        try:
            with self._database.write() as connection:
                for one in seen.values():
                    models.add_comparison(connection, one)
        except CredenceError:
            with self._lock:
                for key, one in seen.items():
                    newer = self._seen.get(key)
                    self._seen[key] = one if newer is None else one.plus(newer)
            raise

    def _compared(
        self, scorer: Scorer, challenger: Scorer, merged: Signals, answered: Evaluated
    ) -> Comparison:
        names = [spec.id for spec in challenger.encoder.catalogue.signals]
        would = challenger.score(*matrix([merged], names))
        points = float(would.points[0]) - answered.score
        own = _place(scorer.bundle.manifest.bands, answered.band.code)
        other = _place(challenger.bundle.manifest.bands, would.band[0])
        return self._one(
            scorer,
            challenger,
            pd=float(would.pd[0]) - answered.pd,
            points=points,
            better=int(other < own),
            worse=int(other > own),
        )

    def _failed(self, scorer: Scorer, challenger: Scorer) -> Comparison:
        return self._one(scorer, challenger, count=0, failed=1)

    def _one(
        self,
        scorer: Scorer,
        challenger: Scorer,
        *,
        count: int = 1,
        failed: int = 0,
        pd: float = 0.0,
        points: float = 0.0,
        better: int = 0,
        worse: int = 0,
    ) -> Comparison:
        at_ms = self._now_ms()
        return Comparison(
            version=scorer.bundle.version,
            challenger=challenger.bundle.version,
            count=count,
            failed=failed,
            pd_difference=pd,
            points_difference=points,
            points_distance=abs(points),
            better_band=better,
            worse_band=worse,
            since_ms=at_ms,
            until_ms=at_ms,
        )


def _place(bands: Sequence[Band], name: str) -> int:
    """Where a band stands among a bundle's bands, 0 the best."""
    return next(at for at, band in enumerate(bands) if band.name == name)
