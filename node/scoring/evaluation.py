"""From what each institution said to one score: merged signals, points, reasons, coverage."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from models.calibration import LEVEL
from models.catalogue import SignalStatus
from models.evaluate import Scorer, Scores
from models.exclusions import exclusion_of, exclusion_text
from models.reasons import Reason, factors, principal_reasons, reason_text
from node.scoring.result import (
    DisputedItem,
    PdInterval,
    ScaleEnds,
    ScoreBand,
    ScoreExclusion,
    ScoreFactor,
    ScoreReason,
    SourceCoverage,
)
from node.storage.marks import MarkKind, Marks
from node.storage.signals import Signals, SignalVector, matrix
from protocols.errors import CredenceError

Status = Literal["own", "cached", "fetched", "refused", "unavailable"]

# Of two sources for one signal the one that says more is read.
FROZEN_CODE = "subject_frozen"  # `consent.policy.Refusal.SUBJECT_FROZEN`, as holders answer it

_PRESENT, _NONE = int(SignalStatus.PRESENT), int(SignalStatus.NONE_ON_RECORD)
_DISPUTED, _FROZEN = int(SignalStatus.DISPUTED), int(SignalStatus.FROZEN)
_SAYS = {_PRESENT: 2, _NONE: 1}


class InsufficientData(CredenceError):
    """No institution said anything about the subject, so there is nothing to score."""

    code = "insufficient_data"
    category = "conflict"
    next_step = "See which holders the consent names; ask again when one has data."


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one institution gave for one score.

    Attributes:
        source: member id.
        status: as in `SourceCoverage`.
        code: stable code behind `refused` or `unavailable`, else empty.
        readable: signals that may be read from it: of classes that were granted and it holds.
        vector: what it said, or None.
        said: the signals in it that may be read.
    """

    source: str
    status: Status
    code: str
    readable: frozenset[str]
    vector: SignalVector | None
    said: Signals = field(init=False)

    def __post_init__(self) -> None:
        signals = self.vector.signals if self.vector is not None else {}
        said = {name: value for name, value in signals.items() if name in self.readable}
        object.__setattr__(self, "said", said)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One subject's score, or why there is none; not yet given out."""

    score: int | None
    scale: ScaleEnds
    pd: float | None
    pd_interval: PdInterval | None
    band: ScoreBand | None
    exclusion: ScoreExclusion | None
    reasons: tuple[ScoreReason, ...]
    factors: tuple[ScoreFactor, ...]
    signal_coverage: float


def merge(contributions: Iterable[Contribution]) -> Signals:
    """The signals to score with, only readable ones: signal id -> (status, value)."""
    merged: dict[str, tuple[int, float]] = {}
    for one in contributions:
        for name, said in one.said.items():
            if name not in merged or _says(said) > _says(merged[name]):
                merged[name] = said
    return merged


def coverage(one: Contribution) -> SourceCoverage:
    """What one institution contributed, counted over the signals it could have given."""
    said = [status for status, _ in one.said.values()]
    present, none, disputed = said.count(_PRESENT), said.count(_NONE), said.count(_DISPUTED)
    return SourceCoverage(
        source=one.source,
        status=one.status,
        code=one.code,
        present=present,
        none_on_record=none,
        missing=len(one.readable) - present - none - disputed,
        as_of_ms=one.vector.as_of_ms if one.vector else None,
        disputed=disputed,
        frozen=one.code == FROZEN_CODE or _FROZEN in said,
    )


def disputes(contributions: Iterable[Contribution], marked: Marks) -> tuple[DisputedItem, ...]:
    """Items that are disputed or stated about, by this node's marks or by what a holder said."""
    found: list[DisputedItem] = []
    for one in contributions:
        flagged = {name for name, (status, _) in one.said.items() if status == _DISPUTED}
        for mark in marked.items(MarkKind.DISPUTED, MarkKind.STATED):
            if mark.source == one.source and mark.signal in one.readable:
                status = "disputed" if mark.kind is MarkKind.DISPUTED else "stated"
                found.append(
                    DisputedItem(one.source, mark.signal, status, mark.since_ms, mark.statement)
                )
                flagged.discard(mark.signal)
        found += [DisputedItem(one.source, name, "disputed", None, "") for name in sorted(flagged)]
    return tuple(sorted(found, key=lambda one: (one.source, one.signal)))


def evaluate_many(
    scorer: Scorer, people: Sequence[Signals], languages: Sequence[str]
) -> list[Evaluated]:
    """Score subjects, all in one pass.

    Args:
        scorer: the model in use.
        people: signal id -> (status, value), of one subject each.
        languages: of each one's reasons' texts, of `models.reasons.LANGUAGES`.

    Raises:
        InvalidInput: no such language.
    """
    if not people:
        return []
    manifest, encoder = scorer.bundle.manifest, scorer.encoder
    status, value = matrix(people, [spec.id for spec in encoder.catalogue.signals])
    scored, lost = scorer.judge(status, value)
    bands = {band.name: ScoreBand(band.name, band.pd) for band in manifest.bands}
    scale = ScaleEnds(manifest.scale.low, manifest.scale.high)
    least = manifest.minimum_present
    present = scorer.present(status, value) if least else np.ones(len(people))
    return [
        Evaluated(
            score=points,
            scale=scale,
            pd=pd,
            pd_interval=interval,
            band=bands[band],
            exclusion=None,
            reasons=_told(reasons, language),
            factors=tuple(ScoreFactor(one.family, one.code, one.points) for one in told),
            signal_coverage=covered,
        )
        if (excluded := exclusion_of(covered, has, least)) is None
        else _excluded(excluded, scale, covered, language)
        for points, pd, interval, band, covered, has, reasons, told, language in zip(
            scored.points.tolist(),
            scored.pd.tolist(),
            _intervals(scorer, scored),
            scored.band,
            scored.coverage.tolist(),
            present.tolist(),
            principal_reasons(lost, encoder),
            factors(lost, encoder),
            languages,
            strict=True,
        )
    ]


def _intervals(scorer: Scorer, scored: Scores) -> list[PdInterval | None]:
    ends = scorer.bundle.manifest.calibration.interval(scored.raw)
    if ends is None:
        return [None] * len(scored.band)
    pairs = zip(ends[0].tolist(), ends[1].tolist(), strict=True)
    return [PdInterval(low, high, LEVEL) for low, high in pairs]


def _excluded(code: str, scale: ScaleEnds, covered: float, language: str) -> Evaluated:
    """No points, no PD, no reasons: a number that rests on nothing is not told at all."""
    exclusion = ScoreExclusion(str(code), exclusion_text(code, language))
    return Evaluated(
        score=None,
        scale=scale,
        pd=None,
        pd_interval=None,
        band=None,
        exclusion=exclusion,
        reasons=(),
        factors=(),
        signal_coverage=covered,
    )


def check_enough(merged: Signals) -> None:
    """There is something to score with.

    Raises:
        InsufficientData: no signal says anything.
    """
    if not any(status in _SAYS for status, _ in merged.values()):
        raise InsufficientData("no institution said anything about this subject")


def _told(reasons: Sequence[Reason], language: str) -> tuple[ScoreReason, ...]:
    return tuple(
        ScoreReason(
            code=reason.code,
            family=reason.family,
            text=reason_text(reason.code, language),
            direction="lowers",
            points=reason.points,
        )
        for reason in reasons
    )


def _says(said: tuple[int, float]) -> int:
    return _SAYS.get(said[0], 0)
