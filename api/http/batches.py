"""`/v1/batches`: many subjects at once, JSON lines in and out."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from api.http.access import Credentials, caller
from api.http.scores import IdempotencyKey, refusals
from node.access.clients import Clients
from node.scoring.batches import MAX_LINES, PAGE, BatchResults, Intake
from node.scoring.job_states import JobState
from node.scoring.jobs import ScoreJobs
from node.scoring.requests import ScoreRequest
from node.storage.score_jobs import JobRow

POLL_S = "2"
MAX_DEADLINE_S = 86_400
JSON_LINES = "application/jsonl"

BatchId = Annotated[str, Path(max_length=40, examples=["bat_5c7e9g2i4k6m8o1q3s5u7w9y2a"])]
_LINES = (
    '{"subject":"sub_7x3k2m4p6q8r9s1t5v7w2x4y6z","consent_id":"con_2b4d6f8h1j3l5n7p9r2t4v6x8z"}\n'
)
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON_LINES: {"schema": {"type": "string"}, "example": _LINES}},
    }
}
_OUT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One line for each line of the batch, in its order: `line`, `subject`, "
        "`consent_id`, and either `score` (as `ScoreAnswer`) or `error` with its `code`. `Link` "
        "with `rel=next` says where the next lines are, until there are none.",
        "content": {JSON_LINES: {"schema": {"type": "string"}}},
    }
}


class BatchState(BaseModel):
    """How a batch stands."""

    model_config = ConfigDict(extra="forbid")

    batch_id: str = Field(examples=["bat_5c7e9g2i4k6m8o1q3s5u7w9y2a"])
    state: Literal["open", "completed", "cancelled", "expired"]
    purpose: str
    product: str
    total: int = Field(description="Lines.")
    scored: int = Field(description="Lines with an answer, exclusions among them.")
    refused: int = Field(description="Lines without one, each with its code.")
    created_at_ms: int
    deadline_at_ms: int
    ended_at_ms: int | None


def batch_routes(jobs: ScoreJobs, results: BatchResults, clients: Clients) -> APIRouter:
    """The routes, over a node's jobs and its clients."""
    router = APIRouter(prefix="/v1/batches", tags=["scores"])
    _taken_in(router, jobs, clients)
    _told(router, jobs, results, clients)
    return router


def _taken_in(router: APIRouter, jobs: ScoreJobs, clients: Clients) -> None:
    @router.post(
        "",
        operation_id="createBatch",
        summary="Score many subjects",
        status_code=202,
        response_model=BatchState,
        responses=refusals(400, 401, 403, 408, 409, 413, 415, 422, 503),
        openapi_extra=_BODY,
    )
    async def create_batch(
        request: Request,
        credentials: Credentials,
        response: Response,
        purpose: Annotated[Literal["score"], Query(description="Of the consents.")] = "score",
        product: Annotated[str, Query(pattern="^[a-z0-9][a-z0-9_-]{0,39}$")] = "standard",
        language: Annotated[Literal["en", "zh-Hans", "zh-Hant"], Query()] = "en",
        deadline_s: Annotated[int, Query(ge=1, le=MAX_DEADLINE_S)] = 3600,
        idempotency_key: IdempotencyKey = None,
    ) -> BatchState:
        """Take lines in as they come, each `{"subject": ..., "consent_id": ...}`.

        A batch with a line that is no such thing is refused whole, with the line's number. What is
        checked of each subject and consent is found out while it is worked on.
        """
        client = await run_in_threadpool(caller, clients, credentials, "batches:write")
        asked = ScoreRequest(
            subject_ref="",
            consent_id="",
            purpose=purpose,
            client_id=client.client_id,
            language=language,
            idempotency_key=idempotency_key,
            product=product,
        )
        intake = await run_in_threadpool(Intake, jobs, asked, deadline_s * 1000)
        try:
            async for chunk in request.stream():
                if chunk:
                    await run_in_threadpool(intake.feed, chunk)
            job, _ = await run_in_threadpool(intake.close)
        except BaseException:
            # Not awaited in a thread: this task may be cancelled, and the lines must go.
            intake.abandon()
            raise
        response.headers["Location"] = f"/v1/batches/{job.job_id}"
        return _state(job, response)


def _told(router: APIRouter, jobs: ScoreJobs, results: BatchResults, clients: Clients) -> None:
    @router.get(
        "/{batch_id}",
        operation_id="getBatch",
        summary="How a batch stands",
        response_model=BatchState,
        responses=refusals(401, 403, 404, 503),
    )
    def get_batch(batch_id: BatchId, credentials: Credentials, response: Response) -> BatchState:
        """Its state and how far it is."""
        client = caller(clients, credentials, "scores:read")
        return _state(jobs.find(batch_id, client.client_id, "batch"), response)

    @router.get(
        "/{batch_id}/results",
        operation_id="getBatchResults",
        summary="What became of a batch",
        response_class=Response,
        responses=_OUT | refusals(401, 403, 404, 422, 503),
    )
    def get_results(
        batch_id: BatchId,
        credentials: Credentials,
        cursor: Annotated[int, Query(ge=0, le=MAX_LINES, description="Lines after this one.")] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    ) -> Response:
        """Lines that are done, in order, from the cursor on; each is read under its consent."""
        client = caller(clients, credentials, "scores:read")
        job = jobs.find(batch_id, client.client_id, "batch")
        found = results.page(job, cursor, limit)
        response = Response(found.body, media_type=JSON_LINES)
        if found.more:
            following = f"/v1/batches/{batch_id}/results?cursor={found.cursor}&limit={limit}"
            response.headers["Link"] = f'<{following}>; rel="next"'
        if found.waiting:
            response.headers["Retry-After"] = POLL_S
        return response

    @router.delete(
        "/{batch_id}",
        operation_id="cancelBatch",
        summary="Cancel a batch",
        response_model=BatchState,
        responses=refusals(401, 403, 404, 409, 503),
    )
    def cancel_batch(batch_id: BatchId, credentials: Credentials, response: Response) -> BatchState:
        """End it; twice is as once. Lines that are done stay, no other is begun."""
        client = caller(clients, credentials, "batches:write")
        return _state(jobs.cancel(batch_id, client.client_id, "batch"), response)


def _state(job: JobRow, response: Response) -> BatchState:
    if job.state == JobState.OPEN:
        response.headers["Retry-After"] = POLL_S
    return BatchState.model_validate(
        {
            "batch_id": job.job_id,
            "state": job.state,
            "purpose": job.purpose,
            "product": job.product,
            "total": job.total,
            "scored": job.scored,
            "refused": job.refused,
            "created_at_ms": job.created_at_ms,
            "deadline_at_ms": job.deadline_at_ms,
            "ended_at_ms": job.ended_at_ms,
        }
    )
