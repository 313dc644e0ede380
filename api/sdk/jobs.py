"""What calls around scores give: requests, batches, past decisions again, notice data."""

import json
from dataclasses import dataclass
from typing import Self

from api.sdk.errors import RequestEnded
from api.sdk.reading import record
from api.sdk.results import (
    Band,
    Dispute,
    Exclusion,
    Factor,
    PdInterval,
    Promise,
    Reason,
    Scale,
    Score,
    Versions,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer; `code` as in a problem document."""

    code: str


@dataclass(frozen=True, slots=True)
class ScoreRequestState:
    """How a score request stands: `open`, `completed`, `failed`, `cancelled` or `expired`."""

    request_id: str
    state: str
    created_at_ms: int
    deadline_at_ms: int
    ended_at_ms: int | None = None
    score: Score | None = None
    error: Failure | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state != "open"


@dataclass(frozen=True, slots=True)
class BatchState:
    """How a batch stands, and how far it is."""

    batch_id: str
    state: str
    total: int
    scored: int
    refused: int
    created_at_ms: int
    deadline_at_ms: int
    purpose: str = "score"
    product: str = "standard"
    ended_at_ms: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.state != "open"


@dataclass(frozen=True, slots=True)
class BatchLine:
    """What became of one line of a batch: a score, or an error."""

    line: int
    subject: str
    consent_id: str
    score: Score | None = None
    error: Failure | None = None

    @classmethod
    def every(cls, body: bytes) -> tuple[Self, ...]:
        """The lines of a page."""
        return tuple(record(cls, json.loads(line)) for line in body.splitlines() if line.strip())


@dataclass(frozen=True, slots=True)
class RecomputedScore:
    """A past decision, computed again from the very inputs it had."""

    score_id: str
    equal: bool
    differences: tuple[str, ...]
    scale: Scale
    versions: Versions
    computed_at_ms: int
    receipt: Promise
    score: int | None = None
    pd: float | None = None
    pd_interval: PdInterval | None = None
    band: Band | None = None
    exclusion: Exclusion | None = None
    reasons: tuple[Reason, ...] = ()
    factors: tuple[Factor, ...] = ()


@dataclass(frozen=True, slots=True)
class NoticeReason:
    """One principal reason."""

    code: str
    family: str
    text: str


@dataclass(frozen=True, slots=True)
class NoticeSource:
    """An institution that worked a score out, or was asked for signals."""

    member_id: str
    name: str
    contact: str
    status: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class NoticeTexts:
    """Sentences of a notice, in the language asked for."""

    decision: str
    right_to_dispute: str
    how_to_dispute: str
    human_review: str


@dataclass(frozen=True, slots=True)
class AdverseActionNotice:
    """What a notice to a person has to say of the score that had a part in a decision."""

    score_id: str
    language: str
    scored_at_ms: int
    scale: Scale
    furnished_by: NoticeSource
    texts: NoticeTexts
    versions: Versions
    score: int | None = None
    reasons: tuple[NoticeReason, ...] = ()
    exclusion: Exclusion | None = None
    sources: tuple[NoticeSource, ...] = ()
    not_consulted: tuple[NoticeSource, ...] = ()
    disputes: tuple[Dispute, ...] = ()


def score_of(state: ScoreRequestState) -> Score:
    """The score of a request that ended.

    Raises:
        RequestEnded: it has none.
    """
    if state.score is None:
        why = state.error.code if state.error is not None else state.state
        raise RequestEnded(f"{state.request_id} ended without a score: {why}")
    return state.score
