"""What the routes around a past decision answer, as OpenAPI shows it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.http.score_models import (
    Band,
    Dispute,
    Exclusion,
    Factor,
    Interval,
    Reason,
    Receipt,
    Scale,
    Versions,
)


class RecomputedScore(BaseModel):
    """A past decision, computed again from the very inputs it had."""

    model_config = ConfigDict(extra="forbid")

    score_id: str
    equal: bool = Field(description="Whether it comes out as it was given out.")
    differences: list[str] = Field(description="Fields that do not.")
    score: int | None
    scale: Scale
    pd: float | None
    pd_interval: Interval | None
    band: Band | None
    exclusion: Exclusion | None
    reasons: list[Reason]
    factors: list[Factor]
    signal_coverage: float
    versions: Versions
    computed_at_ms: int
    receipt: Receipt = Field(description="Of the log's entry that this was done.")


class NoticeReason(BaseModel):
    """One principal reason."""

    code: str
    family: str
    text: str


class Institution(BaseModel):
    """Who worked the score out."""

    member_id: str
    name: str
    contact: str


class NoticeSource(Institution):
    """Who was asked for signals."""

    status: Literal["own", "cached", "fetched", "refused", "unavailable"]
    code: str


class NoticeTexts(BaseModel):
    """Sentences of a notice, in the language asked for."""

    decision: str
    right_to_dispute: str
    how_to_dispute: str
    human_review: str


class AdverseActionNotice(BaseModel):
    """What a notice to a person about a decision has to say of the score that had a part in it."""

    model_config = ConfigDict(extra="forbid")

    score_id: str
    language: Literal["en", "zh-Hans", "zh-Hant"]
    score: int | None
    scale: Scale
    scored_at_ms: int
    reasons: list[NoticeReason] = Field(max_length=4)
    exclusion: Exclusion | None
    furnished_by: Institution
    sources: list[NoticeSource] = Field(description="Institutions whose data it rests on.")
    not_consulted: list[NoticeSource]
    disputes: list[Dispute]
    versions: Versions
    texts: NoticeTexts
