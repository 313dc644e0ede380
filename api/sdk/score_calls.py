"""The operations on scores, score requests and batches as calls."""

import json
import re
from collections.abc import Iterable
from functools import partial

from api.sdk.jobs import (
    AdverseActionNotice,
    BatchLine,
    BatchState,
    RecomputedScore,
    ScoreRequestState,
)
from api.sdk.making import Page, new_key, post
from api.sdk.reading import read
from api.sdk.results import Score
from api.sdk.wire import Call, HttpAnswer

_SCORES = "/v1/scores"
_REQUESTS = "/v1/score-requests"
_BATCHES = "/v1/batches"
_NEXT = re.compile(r'<[^>]*[?&]cursor=([0-9]+)[^>]*>;\s*rel="next"')
_score = partial(read, Score)
_request = partial(read, ScoreRequestState)
_batch = partial(read, BatchState)


def create_score(
    subject: str,
    consent_id: str,
    *,
    purpose: str = "score",
    product: str = "standard",
    language: str = "en",
    idempotency_key: str | None = None,
) -> Call[Score]:
    """Score a subject."""
    body = {"subject": subject, "consent_id": consent_id, **_terms(purpose, product, language)}
    return post("createScore", _SCORES, _score, body, key=idempotency_key or new_key())


def get_score(score_id: str) -> Call[Score]:
    """Read a score again."""
    return Call("getScore", "GET", f"{_SCORES}/{{score_id}}", _score, {"score_id": score_id})


def recompute_score(score_id: str) -> Call[RecomputedScore]:
    """Compute a past decision again with the versions and the inputs it used."""
    return Call("recomputeScore", "POST", f"{_SCORES}/{{score_id}}/rescore",
                partial(read, RecomputedScore), {"score_id": score_id},
                idempotency_key=new_key(), repeatable=False)  # fmt: skip


def adverse_action(score_id: str, *, language: str = "en") -> Call[AdverseActionNotice]:
    """What a notice to the person has to say of a score."""
    return Call("getAdverseAction", "GET", f"{_SCORES}/{{score_id}}/adverse-action",
                partial(read, AdverseActionNotice), {"score_id": score_id},
                {"language": language})  # fmt: skip


def create_score_request(
    subject: str,
    consent_id: str,
    *,
    purpose: str = "score",
    product: str = "standard",
    language: str = "en",
    deadline_s: int = 300,
    idempotency_key: str | None = None,
) -> Call[ScoreRequestState]:
    """Ask for a score that is fetched later."""
    body = {
        "subject": subject,
        "consent_id": consent_id,
        **_terms(purpose, product, language),
        "deadline_s": deadline_s,
    }
    key = idempotency_key or new_key()
    return post("createScoreRequest", _REQUESTS, _request, body, key=key)


def get_score_request(request_id: str) -> Call[ScoreRequestState]:
    """How a score request stands."""
    return Call("getScoreRequest", "GET", f"{_REQUESTS}/{{request_id}}", _request,
                {"request_id": request_id})  # fmt: skip


def cancel_score_request(request_id: str) -> Call[ScoreRequestState]:
    """Cancel a score request."""
    return Call("cancelScoreRequest", "DELETE", f"{_REQUESTS}/{{request_id}}",
                _request, {"request_id": request_id})  # fmt: skip


def create_batch(
    lines: Iterable[tuple[str, str]],
    *,
    purpose: str = "score",
    product: str = "standard",
    language: str = "en",
    deadline_s: int = 3600,
    idempotency_key: str | None = None,
) -> Call[BatchState]:
    """Score many subjects: `lines` are pairs of a subject and a consent."""
    body = "".join(
        json.dumps({"subject": subject, "consent_id": consent}) + "\n" for subject, consent in lines
    )
    query = {**_terms(purpose, product, language), "deadline_s": deadline_s}
    return Call("createBatch", "POST", _BATCHES, _batch, query=query, body=body.encode(),
                content_type="application/jsonl",
                idempotency_key=idempotency_key or new_key())  # fmt: skip


def get_batch(batch_id: str) -> Call[BatchState]:
    """How a batch stands."""
    return Call("getBatch", "GET", f"{_BATCHES}/{{batch_id}}", _batch, {"batch_id": batch_id})


def batch_results(
    batch_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[Page[BatchLine]]:
    """Lines of a batch that are done, in order."""
    return Call("getBatchResults", "GET", f"{_BATCHES}/{{batch_id}}/results", _results,
                {"batch_id": batch_id}, {"cursor": cursor, "limit": limit})  # fmt: skip


def cancel_batch(batch_id: str) -> Call[BatchState]:
    """Cancel a batch."""
    return Call("cancelBatch", "DELETE", f"{_BATCHES}/{{batch_id}}", _batch,
                {"batch_id": batch_id})  # fmt: skip


def _terms(purpose: str, product: str, language: str) -> dict[str, str | int]:
    return {"purpose": purpose, "product": product, "language": language}


def _results(answer: HttpAnswer) -> Page[BatchLine]:
    following = _NEXT.search(answer.headers.get("link", ""))
    return Page(BatchLine.every(answer.body), None if following is None else following[1])
