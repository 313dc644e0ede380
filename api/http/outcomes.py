"""`/v1/outcomes`: what became of the loans that scores were asked for."""

from datetime import UTC, date, datetime, time
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from api.http.access import Credentials, caller
from api.http.refusals import refused_with_body
from node.access.clients import Clients
from node.outcomes.service import OutcomeReport, OutcomeService
from node.storage.reported_outcomes import Reported

SCOPE = "outcomes:write"
_SCORE = "scr_019a3f5b2c4e8d17f0a6b3c5e2d49f81"
_OUTCOME = "out_2d4f6h8j2l4n6p8r2t4v6x8z2b"
OutcomeName = Literal["performing", "default", "charged_off", "repaid", "prepaid", "not_funded"]
_REFUSALS = {
    400: "The day is before the score or in the future.",
    401: "No token, or not one of a valid client.",
    403: "The token lacks the scope.",
    404: "No such score was given to this client, or it is not kept any more.",
    409: "Something else was reported for that day or a later one; name what it corrects.",
    422: "A field of the body is wrong.",
    503: "The database refuses; try again.",
}
_refused = partial(refused_with_body, _REFUSALS)


class OutcomeBody(BaseModel):
    """What became of a loan, as of a day."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"score_id": _SCORE, "outcome": "prepaid", "as_of": "2026-11-20"}]
        },
    )

    score_id: str = Field(min_length=1, max_length=40)
    outcome: OutcomeName = Field(
        description="`default` and `charged_off` are defaults; `repaid` and `prepaid` are not; "
        "`performing` is none once 180 days have passed since the score; `not_funded`: no loan."
    )
    as_of: date = Field(description="The day that it was so (UTC).")
    corrects: int | None = Field(
        default=None, ge=1, le=10_000, description="The version that was wrong; null: none was."
    )


class OutcomeAnswer(BaseModel):
    """One version of what became of a loan."""

    outcome_id: str = Field(examples=[_OUTCOME])
    version: int = Field(ge=1)
    score_id: str = Field(examples=[_SCORE])
    outcome: OutcomeName
    as_of: date
    reported_at_ms: int
    log_seq: int = Field(description="Its entry in the node's audit log.")

    @classmethod
    def of(cls, one: Reported) -> "OutcomeAnswer":
        """A version as it is shown."""
        return cls.model_validate(
            {
                "outcome_id": one.outcome_id,
                "version": one.version,
                "score_id": one.score_id,
                "outcome": one.outcome,
                "as_of": datetime.fromtimestamp(one.as_of_ms / 1000, UTC).date(),
                "reported_at_ms": one.reported_at_ms,
                "log_seq": one.leaf_seq,
            }
        )


class OutcomeVersions(BaseModel):
    """All that was reported of one loan, the oldest first; the last counts."""

    data: list[OutcomeAnswer]


def outcome_routes(outcomes: OutcomeService, clients: Clients) -> APIRouter:
    """The routes, over a node's outcomes and its clients."""
    router = APIRouter(prefix="/v1/outcomes", tags=["outcomes"])

    @router.post(
        "",
        operation_id="reportOutcome",
        summary="Report what became of a loan",
        status_code=201,
        responses={
            200: {"model": OutcomeAnswer, "description": "It was reported before."},
            **_refused(400, 401, 403, 404, 409, 422, 503),
        },
    )
    def report(body: OutcomeBody, credentials: Credentials, response: Response) -> OutcomeAnswer:
        """Report an outcome of a score; the same again is answered with 200 and changes nothing.

        What is of a later day follows on the one before. A correction names the version that was
        wrong; that one stays. Training learns from it only where the subject has a live consent
        for training.
        """
        client = caller(clients, credentials, SCOPE)
        as_of_ms = int(datetime.combine(body.as_of, time(), tzinfo=UTC).timestamp()) * 1000
        report = OutcomeReport(
            body.score_id, client.client_id, body.outcome, as_of_ms, body.corrects
        )
        kept, new = outcomes.report(report)
        response.status_code = 201 if new else 200
        response.headers["Location"] = f"/v1/outcomes/{kept.outcome_id}"
        return OutcomeAnswer.of(kept)

    @router.get(
        "/{outcome_id}",
        operation_id="getOutcome",
        summary="Read all versions of an outcome",
        responses=_refused(401, 403, 404, 422, 503),
    )
    def read(
        outcome_id: Annotated[str, Path(max_length=40, examples=[_OUTCOME])],
        credentials: Credentials,
    ) -> OutcomeVersions:
        """What this client reported of one score, the oldest first."""
        client = caller(clients, credentials, SCOPE)
        found = outcomes.versions(outcome_id, client.client_id)
        return OutcomeVersions(data=[OutcomeAnswer.of(one) for one in found])

    return router
