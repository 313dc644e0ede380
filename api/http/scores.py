"""`/v1/scores`: make a score, read one again, compute one again, tell a person why."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Response

from api.http.access import Credentials, caller
from api.http.decision_models import AdverseActionNotice, RecomputedScore
from api.http.refusals import refused
from api.http.score_models import ScoreAnswer, ScoreRequestBody
from api.http.waiting import Waiting
from node.access.clients import Clients
from node.access.presented import Presented, TokenRefused
from node.scoring.requests import Scored, ScoreRequest
from node.scoring.service import ScoringService
from node.scoring.wiring import AroundScores

MAX_KEY = 64
ScoreHandler = Callable[[ScoreRequestBody, Presented, str | None], Awaitable[Scored]]

IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=MAX_KEY,
        description="The client's name for this call. The same key with the same body gives the "
        "same score for 24 hours; with another body it is refused.",
    ),
]

ScoreId = Annotated[str, Path(max_length=40, examples=["scr_019a3f5b2c4e8d17f0a6b3c5e2d49f81"])]

_REFUSALS = {
    400: "The request is not what it must be.",
    401: "No token, or not one of a valid client.",
    403: "The consent does not allow it (`consent_withdrawn`, `consent_paused`, ...), or the "
    "token lacks the scope.",
    404: "No such subject, consent, product or score here.",
    409: "A source that the product insists on gave nothing, or a consent changed meanwhile.",
    408: "The body did not come in time.",
    413: "The body is over its limit.",
    415: "The body is of another content type.",
    422: "A field of the body is wrong.",
    503: "No model yet, or the database refuses; try again.",
}
refusals = partial(refused, _REFUSALS)
"""Problem documents that a route about scores may answer, for OpenAPI."""


def asked(
    body: ScoreRequestBody, client_id: str, key: str | None, generation: int | None = None
) -> ScoreRequest:
    """What a body asks, of that client, under that idempotency key."""
    return ScoreRequest(
        subject_ref=body.subject,
        consent_id=body.consent_id,
        purpose=body.purpose,
        client_id=client_id,
        language=body.language,
        idempotency_key=key,
        product=body.product,
        generation=generation,
    )


def score_handler(scoring: ScoringService, clients: Clients) -> ScoreHandler:
    """What `POST /v1/scores` does with a call that is what it must be."""
    waiting = Waiting()

    async def handler(body: ScoreRequestBody, credentials: Presented, key: str | None) -> Scored:
        client = caller(clients, credentials, "scores:write", asked_again=True)
        request = asked(body, client.client_id, key, client.generation)
        try:
            return await waiting.result(scoring.begin(request))
        except TokenRefused as error:
            clients.not_any_more(client, error)
            raise

    return handler


def score_routes(scoring: ScoringService, clients: Clients, handler: ScoreHandler) -> APIRouter:
    """The routes, over a node's scoring service, its clients and `score_handler` of them."""
    router = APIRouter(prefix="/v1/scores", tags=["scores"])

    @router.post(
        "",
        operation_id="createScore",
        summary="Score a subject",
        status_code=201,
        response_model=ScoreAnswer,
        responses={
            200: {"model": ScoreAnswer, "description": "What the first call was told."},
            **refusals(400, 401, 403, 404, 409, 422, 503),
        },
    )
    async def create_score(
        body: ScoreRequestBody, credentials: Credentials, idempotency_key: IdempotencyKey = None
    ) -> Response:
        """Check the consent, gather signals, score, log.

        The consent decides, not the token: the call names the subject's consent and the purpose.
        Holders that the consent names and whose signals are not here yet are asked, under one
        deadline; `coverage` says what each gave. Repeating a call with its `Idempotency-Key` gives
        the first answer again, with status 200.

        Where too little is known the answer has no `score` but an `exclusion`; it is an answer like
        any other, with its receipt, and is charged as one.
        """
        return _answer(await handler(body, credentials, idempotency_key), created=201)

    @router.get(
        "/{score_id}",
        operation_id="getScore",
        summary="Read a score again",
        response_model=ScoreAnswer,
        responses=refusals(401, 403, 404, 503),
    )
    def get_score(
        score_id: ScoreId,
        credentials: Credentials,
    ) -> Response:
        """Read a score that this client was given, while its consent and its life allow it."""
        client = caller(clients, credentials, "scores:read")
        return _answer(scoring.read(score_id, client.client_id), created=200)

    return router


def decision_routes(around: AroundScores, clients: Clients) -> APIRouter:
    """What may be asked about a score that was given out."""
    router = APIRouter(prefix="/v1/scores", tags=["scores"])

    @router.post(
        "/{score_id}/rescore",
        operation_id="recomputeScore",
        summary="Compute a past decision again",
        response_model=RecomputedScore,
        responses=refusals(401, 403, 404, 503),
    )
    def recompute(score_id: ScoreId, credentials: Credentials) -> dict[str, Any]:
        """Compute a score again with the versions and the inputs it used, and compare.

        It makes no new score and spends no use of the consent. Inputs are kept sealed as long as
        the consent lets data live; after that the answer is `score_inputs_gone`.
        """
        client = caller(clients, credentials, "scores:read")
        return around.rescoring.rescore(score_id, client.client_id).to_json()

    @router.get(
        "/{score_id}/adverse-action",
        operation_id="getAdverseAction",
        summary="What a notice to the person has to say",
        response_model=AdverseActionNotice,
        responses=refusals(401, 403, 404, 422, 503),
    )
    def adverse_action(
        score_id: ScoreId,
        credentials: Credentials,
        language: Annotated[Literal["en", "zh-Hans", "zh-Hant"], Query()] = "en",
    ) -> dict[str, Any]:
        """The score's part of an adverse-action notice: reasons, range, date, sources, rights."""
        client = caller(clients, credentials, "scores:read")
        return around.adverse_actions.notice(score_id, client.client_id, language)

    return router


def _answer(scored: Scored, created: int) -> Response:
    # The stored bytes as they are: what was logged is what is read, and nothing is encoded twice.
    return Response(
        scored.body,
        status_code=200 if scored.repeated else created,
        media_type="application/json",
        headers={"Location": f"/v1/scores/{scored.score_id}"},
    )
