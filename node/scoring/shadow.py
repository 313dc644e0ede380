"""The challenger, scored in the shadow of answers: what would it have said?

It is scored after the answer has been given out and recorded, on the same signals, under the same
consent; it never is the answer and never fails one. Kept are counts and sums over all people,
first in memory, then in the node's database; nothing of one person, and nothing leaves the node.
"""

import threading
from collections.abc import Callable, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray

from audit.database import Database
from models.evaluate import Scorer
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
        self,
        scorer: Scorer,
        challenger: Scorer,
        people: Sequence[Signals],
        answered: Sequence[Evaluated],
    ) -> None:
        """Compare answers with what the challenger would have said, in one pass; never raises.

        Args:
            scorer: that made the answers.
            challenger: the other one.
            people: for each answer what it was made from, signal id -> (status, value).
            answered: the answers.
        """
        told = [(one, said) for one, said in zip(people, answered, strict=True)
                if said.exclusion is None]  # fmt: skip
        if not told:
            return
        people, answered = [one for one, _ in told], [said for _, said in told]
        versions = (scorer.bundle.version, challenger.bundle.version)
        at_ms = self._now_ms()
        try:
            seen = _compared(scorer, challenger, people, answered, at_ms)
        except (CredenceError, ValueError, ArithmeticError) as error:
            log.warning("challenger.failed", error=type(error).__name__)
            seen = Comparison(*versions, 0, len(people), 0.0, 0.0, 0.0, 0, 0, at_ms, at_ms)
        with self._lock:
            held = self._seen.get(versions)
            self._seen[versions] = seen if held is None else held.plus(seen)

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
    scorer: Scorer,
    challenger: Scorer,
    people: Sequence[Signals],
    answered: Sequence[Evaluated],
    at_ms: int,
) -> Comparison:
    names = [spec.id for spec in challenger.encoder.catalogue.signals]
    would = challenger.score(*matrix(people, names))
    points = would.points - np.array([one.score for one in answered if one.score is not None])
    own = _places(scorer, [one.band.code for one in answered if one.band is not None])
    other = _places(challenger, would.band)
    return Comparison(
        version=scorer.bundle.version,
        challenger=challenger.bundle.version,
        count=len(people),
        failed=0,
        pd_difference=float(
            (would.pd - np.array([one.pd for one in answered if one.pd is not None])).sum()
        ),
        points_difference=float(points.sum()),
        points_distance=float(np.abs(points).sum()),
        better_band=int((other < own).sum()),
        worse_band=int((other > own).sum()),
        since_ms=at_ms,
        until_ms=at_ms,
    )


def _places(scorer: Scorer, names: Sequence[str]) -> NDArray[np.int64]:
    """Where bands stand among a bundle's bands, 0 the best."""
    order = [band.name for band in scorer.bundle.manifest.bands]
    return np.array([order.index(name) for name in names], dtype=np.int64)
