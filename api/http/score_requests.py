"""`/v1/score-requests`: ask for a score now, fetch it later."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.access import Credentials, caller
from api.http.score_models import ScoreAnswer, ScoreRequestBody
from api.http.scores import IdempotencyKey, asked, refusals
from node.access.clients import Clients
from node.scoring.job_states import JobState
from node.scoring.jobs import ScoreJobs
from node.scoring.reading import ScoreReader
from node.storage.score_jobs import JobRow
from protocols.errors import CredenceError

POLL_S = "1"
DEFAULT_DEADLINE_S = 300
MAX_DEADLINE_S = 86_400

RequestId = Annotated[str, Path(max_length=40, examples=["srq_5c7e9g2i4k6m8o1q3s5u7w9y2a"])]


class ScoreRequestLaterBody(ScoreRequestBody):
    """A score call whose answer is fetched later."""

    deadline_s: int = Field(
        default=DEFAULT_DEADLINE_S,
        ge=1,
        le=MAX_DEADLINE_S,
        description="Seconds after which it is given up.",
    )


class Failure(BaseModel):
    """Why there is no answer."""

    code: str = Field(examples=["consent_withdrawn"], description="As in a problem document.")


class ScoreRequestState(BaseModel):
    """How a score request stands."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(examples=["srq_5c7e9g2i4k6m8o1q3s5u7w9y2a"])
    state: Literal["open", "completed", "failed", "cancelled", "expired"]
    created_at_ms: int
    deadline_at_ms: int
    ended_at_ms: int | None
    score: ScoreAnswer | None = Field(
        description="With `completed`, while the consent and the score's life allow reading it."
    )
    error: Failure | None


def score_request_routes(jobs: ScoreJobs, reader: ScoreReader, clients: Clients) -> APIRouter:
    """The routes, over a node's jobs and its clients."""
    router = APIRouter(prefix="/v1/score-requests", tags=["scores"])

    @router.post(
        "",
        operation_id="createScoreRequest",
        summary="Ask for a score that is fetched later",
        status_code=202,
        response_model=ScoreRequestState,
        responses=refusals(400, 401, 403, 409, 422, 503),
    )
    def create_request(
        body: ScoreRequestLaterBody,
        credentials: Credentials,
        response: Response,
        idempotency_key: IdempotencyKey = None,
    ) -> ScoreRequestState:
        """Take the call in and answer at once; poll `Location`, or wait for the webhook.

        It is worked on until its deadline, also after a restart of the node. What is checked of the
        subject and the consent is found out then, and told by `error`.
        """
        client = caller(clients, credentials, "scores:write")
        call = asked(body, client.client_id, idempotency_key)
        job, _ = jobs.request(call, body.deadline_s * 1000)
        response.headers["Location"] = f"/v1/score-requests/{job.job_id}"
        return _state(job, response)

    @router.get(
        "/{request_id}",
        operation_id="getScoreRequest",
        summary="How a score request stands",
        response_model=ScoreRequestState,
        responses=refusals(401, 403, 404, 503),
    )
    def get_request(
        request_id: RequestId, credentials: Credentials, response: Response
    ) -> ScoreRequestState:
        """Its state; once it is completed the score, read under the consent as any other."""
        client = caller(clients, credentials, "scores:read")
        job = jobs.find(request_id, client.client_id, "request")
        return _state(job, response).model_copy(update=_outcome(jobs, reader, job))

    @router.delete(
        "/{request_id}",
        operation_id="cancelScoreRequest",
        summary="Cancel a score request",
        response_model=ScoreRequestState,
        responses=refusals(401, 403, 404, 409, 503),
    )
    def cancel_request(
        request_id: RequestId, credentials: Credentials, response: Response
    ) -> ScoreRequestState:
        """End it; twice is as once. What is being worked on at this moment may still be scored."""
        client = caller(clients, credentials, "scores:write")
        return _state(jobs.cancel(request_id, client.client_id, "request"), response)

    return router


def _outcome(jobs: ScoreJobs, reader: ScoreReader, job: JobRow) -> dict[str, Any]:
    """What there is to say of a job that ended, as fields of its state."""
    lines = jobs.lines(job, 0, 1)
    if job.state in {JobState.OPEN, JobState.RECEIVING} or not lines:
        return {}
    (line,) = lines
    if line.code is not None:
        return {"state": "failed", "error": Failure(code=line.code)}
    if line.score_id is None:
        return {}
    try:
        scored = reader.read(line.score_id, job.client_id)
    except CredenceError as error:
        return {"error": Failure(code=error.code)}
    return {"score": ScoreAnswer.model_validate_json(scored.body)}


def _state(job: JobRow, response: Response) -> ScoreRequestState:
    if job.state == JobState.OPEN:
        response.headers["Retry-After"] = POLL_S
    return ScoreRequestState.model_validate(
        {
            "request_id": job.job_id,
            "state": job.state,
            "created_at_ms": job.created_at_ms,
            "deadline_at_ms": job.deadline_at_ms,
            "ended_at_ms": job.ended_at_ms,
            "score": None,
            "error": None,
        }
    )
