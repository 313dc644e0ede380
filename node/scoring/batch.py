"""Scores of many subjects at once, for evaluating a model: arrays, no rows, one audit leaf.

The same consent check as for one score; who has no consent that allows it is not scored. Only what
this node already has is read: nobody is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from consent.refusals import ReleaseRefused
from models.evaluate import Scorer
from node.scoring.active_model import ActiveModel
from node.scoring.consent import Granted, ScoreConsent
from node.scoring.evaluation import merge
from node.scoring.sources import ScoreSources
from node.storage import subjects
from node.storage.signals import Signals, matrix
from node.storage.subjects import UnknownSubject
from protocols.identifiers import new_id


@dataclass(frozen=True)
class BatchScores:
    """Scores of n subjects, in the order they were asked for.

    Attributes:
        subject_refs: n references.
        refusals: n stable codes; empty: scored.
        pd: float64[n], NaN where refused.
        points: int64[n], 0 where refused.
        coverage: float64[n], share of the catalogue's signals that said something.
        model: version of the bundle.
    """

    subject_refs: tuple[str, ...]
    refusals: tuple[str, ...]
    pd: npt.NDArray[np.float64]
    points: npt.NDArray[np.int64]
    coverage: npt.NDArray[np.float64]
    model: str


@dataclass(frozen=True, slots=True)
class _RestsOn:
    consent_id: str
    purpose: str


class BatchScoring:
    """Scores many subjects under their consents; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        model: ActiveModel,
        consent: ScoreConsent,
        sources: ScoreSources,
        now_ms: Callable[[], int],
        admit: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._model = model
        self._consent = consent
        self._sources = sources
        self._now_ms = now_ms
        self._admit = admit

    def score_batch(
        self,
        asked: Sequence[tuple[str, str]],
        *,
        purpose: str = "score",
        exchanged: bool = True,
        model: str | None = None,
    ) -> BatchScores:
        """Score subjects with what this node already has.

        Args:
            asked: pairs of subject reference and consent id.
            purpose: purpose of the consents.
            exchanged: whether signals released by other holders are read, or only own ones.
            model: version of a kept bundle; None: the active one.

        Raises:
            NoModel, UnknownModelVersion, BundleInvalid: there is no model to score with.
            LogUnwitnessed, LogQuarantined: the log is not witnessed well enough.
        """
        self._admit()
        with self._database.write() as connection:
            now_ms = self._now_ms()
            loaded = self._model.get(connection, model)
            granted, refusals = self._decide(connection, asked, purpose, now_ms)
            contributions = self._sources.kept_many(
                connection,
                [(one.terms, one.decision) for one in granted],
                purpose,
                loaded.encoder.catalogue,
                now_ms,
                exchanged=exchanged,
            )
            self._log(connection, loaded.bundle.version, purpose, len(contributions), now_ms)
        return _scores(asked, refusals, [merge(one) for one in contributions], loaded)

    def _decide(
        self, connection: Connection, asked: Sequence[tuple[str, str]], purpose: str, now_ms: int
    ) -> tuple[list[Granted], list[str]]:
        known = {one.subject_ref: one for one in subjects.all_subjects(connection)}
        granted: list[Granted] = []
        refusals: list[str] = []
        for subject_ref, consent_id in asked:
            subject = known.get(subject_ref)
            if subject is None:
                refusals.append(UnknownSubject.code)
                continue
            rests_on = _RestsOn(consent_id, purpose)
            try:
                granted.append(self._consent.check(connection, subject, rests_on, now_ms))
            except ReleaseRefused as error:
                refusals.append(error.code)
            else:
                refusals.append("")
        return granted, refusals

    def _log(
        self, connection: Connection, model: str, purpose: str, scored: int, now_ms: int
    ) -> None:
        entry = Entry(
            kind="score.evaluated",
            actor="operator",
            purpose=purpose,
            correlation=new_id("evl"),
            payload={"model": model, "subjects": scored},
            subject=None,
            at_ms=now_ms,
        )
        self._audit.append(connection, entry)


def _scores(
    asked: Sequence[tuple[str, str]],
    refusals: Sequence[str],
    people: Sequence[Signals],
    scorer: Scorer,
) -> BatchScores:
    scored = np.array([not refusal for refusal in refusals], dtype=np.bool_)
    found = BatchScores(
        subject_refs=tuple(subject_ref for subject_ref, _ in asked),
        refusals=tuple(refusals),
        pd=np.full(len(asked), np.nan),
        points=np.zeros(len(asked), dtype=np.int64),
        coverage=np.zeros(len(asked)),
        model=scorer.bundle.version,
    )
    if people:
        status, value = matrix(people, [spec.id for spec in scorer.encoder.catalogue.signals])
        scores = scorer.score(status, value)
        found.pd[scored] = scores.pd
        found.points[scored] = scores.points
        found.coverage[scored] = scores.coverage
    return found
