"""A score on its way out: what is answered, its entry of the log, its row, its kept input."""

from dataclasses import dataclass

from audit.leaf import Entry
from models.evaluate import Scorer
from node.scoring.consent import Granted
from node.scoring.evaluation import Contribution, Evaluated, coverage, disputes
from node.scoring.inputs import ScoreInput
from node.scoring.requests import ScoreRequest
from node.scoring.result import ScoreFacts, ScoreVersions
from node.storage.marks import Marks
from node.storage.scores import ScoreRow
from node.storage.signals import Signals
from protocols.identifiers import new_ordered_id


@dataclass(frozen=True, slots=True)
class Ready:
    """A call that can be scored.

    Attributes:
        place: in its group.
        request: what was asked.
        granted: the consent, and what it allows.
        contributions: what each source gave.
        merged: the signals to score with.
    """

    place: int
    request: ScoreRequest
    granted: Granted
    contributions: list[Contribution]
    merged: Signals


def entry_of(one: Ready, facts: ScoreFacts, text: str) -> Entry:
    """The entry of the log about an answer, `text` being what is answered."""
    return Entry(
        kind="score.issued" if facts.exclusion is None else "score.excluded",
        actor=one.request.client_id,
        purpose=one.request.purpose,
        correlation=facts.score_id,
        # The answer as a text: canonical JSON of every field again would cost as much as the score.
        payload={
            "score_id": facts.score_id,
            **_outcome(facts),
            "model": facts.versions.model,
            "answer": text,
        },
        subject=one.granted.terms.pseudonym,
        at_ms=facts.issued_at_ms,
    )


def _outcome(facts: ScoreFacts) -> dict[str, int | str]:
    if facts.exclusion is not None:
        return {"exclusion": facts.exclusion.code}
    if facts.score is None or facts.band is None:
        raise ValueError("a score without an exclusion has points and a band")
    return {"score": facts.score, "band": facts.band.code}


def input_of(one: Ready, facts: ScoreFacts) -> ScoreInput:
    """What the answer was computed from."""
    return ScoreInput(facts.score_id, one.request.language, one.merged, facts.expires_at_ms)


def row_of(request: ScoreRequest, facts: ScoreFacts, body: str, leaf_seq: int) -> ScoreRow:
    """The answer's row."""
    return ScoreRow(
        score_id=facts.score_id,
        subject_ref=request.subject_ref,
        consent_id=request.consent_id,
        client_id=request.client_id,
        purpose=request.purpose,
        result=body,
        at_ms=facts.issued_at_ms,
        leaf_seq=leaf_seq,
        idempotency_key=request.idempotency_key,
        request_sha256=request.digest(),
    )


def facts_of(
    one: Ready, evaluated: Evaluated, scorer: Scorer, marked: Marks, now_ms: int, *, counted: bool
) -> ScoreFacts:
    """What is answered; `counted`: whether it spends a use of the consent."""
    granted, manifest, terms = one.granted, scorer.bundle.manifest, one.granted.terms
    ends = [
        said.vector.expires_at_ms
        for said in one.contributions
        if said.vector is not None and said.vector.expires_at_ms is not None
    ]
    return ScoreFacts(
        score_id=new_ordered_id("scr", now_ms),
        subject=one.request.subject_ref,
        consent_id=one.request.consent_id,
        purpose=one.request.purpose,
        product=one.request.product,
        score=evaluated.score,
        scale=evaluated.scale,
        pd=evaluated.pd,
        pd_interval=evaluated.pd_interval,
        band=evaluated.band,
        exclusion=evaluated.exclusion,
        reasons=evaluated.reasons,
        factors=evaluated.factors,
        coverage=tuple(coverage(said) for said in one.contributions),
        signal_coverage=evaluated.signal_coverage,
        disputes=disputes(one.contributions, marked),
        review_pending=marked.review_pending,
        versions=ScoreVersions(
            model=manifest.version,
            catalogue=manifest.catalogue_version,
            calibration=manifest.calibration.version,
        ),
        consent_uses_left=terms.max_uses - terms.uses - 1 if counted else None,
        issued_at_ms=now_ms,
        expires_at_ms=min(granted.decision.expires_at_ms, granted.terms.valid_until_ms, *ends),
    )
