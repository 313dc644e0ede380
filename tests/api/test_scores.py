"""`/v1/scores` as a financing platform calls it."""

import itertools

import httpx
import pytest

from api.http.score_models import ScoreAnswer
from tests.network import now_ms, person
from tests.node.scoring_world import World, ref

_people = itertools.count(1000)


def body_for(world: World, **terms) -> dict[str, str]:
    """A score call for a new person with a consent."""
    (one,) = world.enrol(next(_people))
    consent = world.consent(one, **terms)
    return {"subject": ref(one), "consent_id": consent.consent_id, "purpose": "score"}


def is_problem(answer, status: int, code: str) -> bool:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) == {
        "type", "title", "status", "detail", "code", "request_id", "retryable", "next_step"
    }  # fmt: skip
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:credence:problem:{problem['code']}"
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert problem["next_step"]
    assert "Traceback" not in answer.text
    return (answer.status_code, problem["code"]) == (status, code)


def test_a_score_is_made_and_is_what_openapi_says(world: World, caller: httpx.Client) -> None:
    answer = caller.post("/v1/scores", json=body_for(world))
    assert answer.status_code == 201
    score = ScoreAnswer.model_validate_json(answer.text)
    assert score.coverage[0].source == "bank-a"
    assert answer.headers["location"] == f"/v1/scores/{score.score_id}"
    assert answer.headers["cache-control"] == "no-store"


def test_a_score_is_read_again_at_its_location(world: World, caller: httpx.Client) -> None:
    made = caller.post("/v1/scores", json=body_for(world))
    read = caller.get(made.headers["location"])
    assert read.status_code == 200
    assert read.content == made.content


def test_a_repeated_call_gives_the_same_score_with_200(world: World, caller: httpx.Client) -> None:
    body = body_for(world)
    first = caller.post("/v1/scores", json=body, headers={"Idempotency-Key": "order-7"})
    second = caller.post("/v1/scores", json=body, headers={"Idempotency-Key": "order-7"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.content == second.content
    other = caller.post("/v1/scores", json=body_for(world), headers={"Idempotency-Key": "order-7"})
    assert is_problem(other, 422, "idempotency_key_reused")


def test_reasons_are_told_in_the_language_asked_for(world: World, caller: httpx.Client) -> None:
    body = body_for(world) | {"language": "zh-Hans"}
    text = caller.post("/v1/scores", json=body).json()["reasons"][0]["text"]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in text)


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"purposes": ["train"]}, "purpose_not_granted"),
        ({"recipients": ["payments"]}, "recipient_not_named"),
        ({"valid_from_ms": 0, "valid_until_ms": 1000}, "consent_expired"),
        (
            {"valid_from_ms": now_ms() + 10**9, "valid_until_ms": now_ms() + 2 * 10**9},
            "consent_not_yet_valid",
        ),
    ],
)
def test_each_refusal_of_a_consent_has_its_own_code(
    world: World, caller: httpx.Client, terms: dict, code: str
) -> None:
    assert is_problem(caller.post("/v1/scores", json=body_for(world, **terms)), 403, code)


def test_a_withdrawn_consent_opens_neither_a_new_score_nor_an_old_one(
    world: World, caller: httpx.Client
) -> None:
    (one,) = world.enrol(next(_people))
    terms = world.consent(one)
    body = {"subject": ref(one), "consent_id": terms.consent_id, "purpose": "score"}
    made = caller.post("/v1/scores", json=body)
    world.network.withdraw("bank-a", terms)
    assert is_problem(caller.post("/v1/scores", json=body), 403, "consent_withdrawn")
    assert is_problem(caller.get(made.headers["location"]), 403, "consent_withdrawn")


def test_what_is_not_here_is_not_found(world: World, caller: httpx.Client) -> None:
    body = body_for(world)
    unknown = body | {"subject": ref(person(1))}
    assert is_problem(caller.post("/v1/scores", json=unknown), 404, "subject_unknown")
    unknown = body | {"consent_id": "con_none"}
    assert is_problem(caller.post("/v1/scores", json=unknown), 404, "consent_unknown")
    assert is_problem(caller.get("/v1/scores/scr_none"), 404, "score_unknown")
    assert is_problem(caller.get("/v1/nothing"), 404, "not_found")
    assert is_problem(caller.delete("/v1/scores/scr_none"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "train"},
        {"purpose": None},
        {"subject": ""},
        {"subject": 7},
        {"subject": "x" * 41},
        {"language": "tlh"},
        {"surplus": 1},
    ],
)
def test_a_body_of_the_wrong_form_is_refused_without_quoting_it(
    world: World, caller: httpx.Client, change: dict
) -> None:
    answer = caller.post("/v1/scores", json=body_for(world) | change)
    assert is_problem(answer, 422, "invalid_input")
    assert "x" * 41 not in answer.text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"subject": NaN}', "\x00", "{" * 5000])
def test_bytes_that_are_no_json_object_are_refused(caller: httpx.Client, text: str) -> None:
    answer = caller.post(
        "/v1/scores", content=text.encode(), headers={"Content-Type": "application/json"}
    )
    assert is_problem(answer, 422, "invalid_input")


def test_openapi_names_every_operation_and_shows_examples(caller: httpx.Client) -> None:
    document = caller.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert {operation["operationId"] for operation in operations} >= {
        "createScore", "getScore", "getHealth", "getReadiness",
        "getLogCheckpoint", "getInclusionProof", "getConsistencyProof", "getLogLeaves",
        "getLogLeaf", "getLogTile", "getLogReceipt", "createToken", "getTokenKeys",
        "getServerMetadata",
    }  # fmt: skip
    create = document["paths"]["/v1/scores"]["post"]
    assert set(create["responses"]) >= {"201", "401", "403", "404", "422", "503"}
    assert "application/problem+json" in create["responses"]["403"]["content"]
    assert document["components"]["schemas"]["ScoreRequestBody"]["examples"]
    assert create["security"] == [{"oauth2": []}]
    flows = document["components"]["securitySchemes"]["oauth2"]["flows"]
    assert "scores:write" in flows["clientCredentials"]["scopes"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_loads_anything_from_elsewhere(caller: httpx.Client, path: str) -> None:
    assert caller.get(path).status_code == 404


def test_the_process_says_that_it_lives_and_that_it_can_score(caller: httpx.Client) -> None:
    assert caller.get("/healthz").json() == {"status": "ok"}
    ready = caller.get("/readyz")
    assert ready.status_code == 200
    assert set(ready.json()["checks"]) == {"database", "directory", "model", "witnesses"}
