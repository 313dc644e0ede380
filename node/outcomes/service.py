"""Outcomes of scores, as the platforms that asked for them report them.

  1. the score was given to this very client, and is still kept: a withdrawal deletes it;
  2. its subject is still known here;
  3. the day that the outcome describes is neither before the score nor in the future;
  4. the same report again is the same report; what is of a later day follows on what was said
     before; anything else must name the version that it corrects, and becomes a new one beside it.
The row and its leaf are one transaction. What training makes of it is in `node.storage.outcomes`:
only people with a live `train` consent are ever in a cohort.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.scoring.requests import ScoreUnknown
from node.storage import reported_outcomes as storage
from node.storage import scores, subjects
from node.storage.reported_outcomes import Reported
from node.storage.scores import ScoreRow
from protocols.errors import InvalidInput, NotFound, StateConflict
from protocols.identifiers import new_id

DAY_MS = 86_400_000
MATURE_MS = 180 * DAY_MS
"""`performing` is a label when it was so this long after the score; before, it may yet default."""
OUTCOMES = ("performing", "default", "charged_off", "repaid", "prepaid", "not_funded")
_LABELS = {"default": 1, "charged_off": 1, "repaid": 0, "prepaid": 0}


class OutcomeReported(StateConflict):
    """Another outcome of this score was reported for that day or a later one."""

    code = "outcome_reported"
    next_step = "Name the version that is wrong in `corrects`; it stays beside the new one."


class OutcomeUnknown(NotFound):
    """This client reported no outcome by that id."""

    code = "outcome_unknown"


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What a client reports.

    Attributes:
        outcome: one of `OUTCOMES`.
        as_of_ms: midnight (UTC) of the day that it describes.
        corrects: the version that was wrong; None: it was not.
    """

    score_id: str
    client_id: str
    outcome: str
    as_of_ms: int
    corrects: int | None = None


class OutcomeService:
    """Takes outcomes; thread-safe."""

    def __init__(self, *, database: Database, audit: AuditLog, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms

    def report(self, report: OutcomeReport) -> tuple[Reported, bool]:
        """Take an outcome; what is kept, and whether it is new.

        Raises:
            ScoreUnknown: no such score of this client is kept.
            UnknownSubject: its subject is not known here any more.
            InvalidInput: no such outcome, or not a day that it can describe.
            OutcomeReported: it contradicts what was said, and names no version that it corrects.
        """
        if report.outcome not in OUTCOMES:
            raise InvalidInput(f"an outcome is one of {', '.join(OUTCOMES)}")
        with self._database.write() as connection:
            now_ms = self._now_ms()
            score = scores.find(connection, report.score_id)
            if score is None or score.client_id != report.client_id:  # 1
                raise ScoreUnknown("no such score was given to this client")
            subject = subjects.by_ref(connection, score.subject_ref)  # 2
            if not score.at_ms - DAY_MS < report.as_of_ms <= now_ms:  # 3
                raise InvalidInput("an outcome is of a day from the score's until today")
            before = storage.newest_of_score(connection, report.score_id)
            if before is not None and _same(before, report):
                return before, False
            _check_follows(before, report)  # 4
            return self._keep(connection, report, score, before, subject.pseudonym, now_ms), True

    def versions(self, outcome_id: str, client_id: str) -> list[Reported]:
        """All versions of an outcome, the oldest first.

        Raises:
            OutcomeUnknown: the client reported none by that id.
        """
        with self._database.read() as connection:
            found = storage.versions(connection, outcome_id)
        if not found or found[0].client_id != client_id:
            raise OutcomeUnknown("this client reported no such outcome")
        return found

    def _keep(
        self,
        connection: Connection,
        report: OutcomeReport,
        score: ScoreRow,
        before: Reported | None,
        pseudonym: bytes,
        now_ms: int,
    ) -> Reported:
        outcome_id = new_id("out") if before is None else before.outcome_id
        version = 1 if before is None else before.version + 1
        entry = Entry(
            kind="outcome.reported" if report.corrects is None else "outcome.corrected",
            actor=report.client_id,
            purpose="",
            correlation=outcome_id,
            payload={
                "as_of_ms": report.as_of_ms,
                "outcome": report.outcome,
                "score_id": report.score_id,
                "version": version,
            },
            subject=pseudonym,
            at_ms=now_ms,
        )
        leaf = self._audit.append(connection, entry)
        answer: dict[str, Any] = json.loads(score.result)
        versions = answer.get("versions") or {}
        kept = Reported(
            outcome_id=outcome_id,
            version=version,
            score_id=report.score_id,
            client_id=report.client_id,
            subject_ref=score.subject_ref,
            outcome=report.outcome,
            label=label_of(report.outcome, report.as_of_ms - score.at_ms),
            as_of_ms=report.as_of_ms,
            reported_at_ms=now_ms,
            scored_at_ms=score.at_ms,
            pd=answer.get("pd"),
            model=str(versions.get("model", "")),
            leaf_seq=leaf.seq,
        )
        storage.add(connection, kept)
        return kept


def label_of(outcome: str, after_ms: int) -> int | None:
    """1: a default, 0: none, None: it teaches nothing (not yet, or there was no loan).

    Args:
        outcome: one of `OUTCOMES`.
        after_ms: how long after the score it was so, milliseconds.
    """
    if outcome == "performing":
        return 0 if after_ms >= MATURE_MS else None
    return _LABELS.get(outcome)


def _same(before: Reported, report: OutcomeReport) -> bool:
    return (before.outcome, before.as_of_ms) == (report.outcome, report.as_of_ms)


def _check_follows(before: Reported | None, report: OutcomeReport) -> None:
    if report.corrects is not None:
        if before is None or report.corrects != before.version:
            raise OutcomeReported("what is corrected is not the newest version")
    elif before is not None and report.as_of_ms <= before.as_of_ms:
        raise OutcomeReported(f"version {before.version} says something else")
