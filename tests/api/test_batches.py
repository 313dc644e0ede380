"""Requests, batches and past decisions over HTTP."""

import json
import time

import httpx
import pytest

from api.http.app import create_app
from api.http.limits import BodyLimits, StreamLimits
from api.http.server import HttpServer
from models.reasons import LANGUAGES
from tests.api.test_scores import body_for, is_problem
from tests.network import now_ms
from tests.node.scoring_world import World

JSON_LINES = {"Content-Type": "application/jsonl"}


@pytest.fixture(scope="module")
def many(world: World, url: str):
    """A client that may send batches."""
    token = world.clients.add("batches", now_ms(), ["scores:read", "scores:write", "batches:write"])
    headers = {"Authorization": f"Bearer {token[1]}"}
    with httpx.Client(base_url=url, timeout=20, headers=headers) as client:
        yield client


def lines(world: World, number: int) -> bytes:
    bodies = [body_for(world) for _ in range(number)]
    told = [{"subject": one["subject"], "consent_id": one["consent_id"]} for one in bodies]
    return b"".join(json.dumps(one).encode() + b"\n" for one in told)


def work(world: World) -> None:
    """What the node's own thread does."""
    world.node.around_scores.runner.step()


def test_a_request_is_taken_in_polled_and_answered(world: World, caller: httpx.Client) -> None:
    body = body_for(world)
    taken = caller.post("/v1/score-requests", json=body, headers={"Idempotency-Key": "later"})
    assert taken.status_code == 202
    place = taken.headers["location"]
    assert taken.json()["state"] == "open"
    assert taken.headers["retry-after"] == "1"
    again = caller.post("/v1/score-requests", json=body, headers={"Idempotency-Key": "later"})
    assert again.headers["location"] == place
    other = caller.post(
        "/v1/score-requests",
        json=body | {"language": "zh-Hans"},
        headers={"Idempotency-Key": "later"},
    )
    assert is_problem(other, 422, "idempotency_key_reused")
    work(world)
    answer = caller.get(place)
    assert "retry-after" not in answer.headers
    assert answer.json()["state"] == "completed"
    score = answer.json()["score"]
    assert caller.get(f"/v1/scores/{score['score_id']}").json() == score
    assert is_problem(caller.delete(place), 409, "job_ended")


def test_a_request_that_fails_says_why(world: World, caller: httpx.Client) -> None:
    body = body_for(world, purposes=["train"])
    place = caller.post("/v1/score-requests", json=body).headers["location"]
    cancelled = caller.post("/v1/score-requests", json=body).headers["location"]
    assert caller.delete(cancelled).json()["state"] == "cancelled"
    work(world)
    failed = caller.get(place).json()
    assert (failed["state"], failed["error"]) == ("failed", {"code": "purpose_not_granted"})
    assert caller.get(cancelled).json()["state"] == "cancelled"
    assert is_problem(caller.get("/v1/score-requests/srq_none"), 404, "job_unknown")
    wrong = caller.post("/v1/score-requests", json=body | {"deadline_s": 0})
    assert is_problem(wrong, 422, "invalid_input")


def test_a_batch_goes_in_and_comes_out_page_by_page(world: World, many: httpx.Client) -> None:
    sent = lines(world, 5)
    taken = many.post("/v1/batches?deadline_s=60", content=sent, headers=JSON_LINES)
    assert taken.status_code == 202, taken.text
    place = taken.headers["location"]
    waiting = many.get(f"{place}/results")
    assert (waiting.content, waiting.headers["retry-after"]) == (b"", "2")
    work(world)
    state = many.get(place).json()
    assert (state["state"], state["total"], state["scored"]) == ("completed", 5, 5)
    told, following = [], f"{place}/results?limit=2"
    while following:
        page = many.get(following)
        assert page.headers["content-type"].startswith("application/jsonl")
        told += [json.loads(one) for one in page.text.splitlines()]
        following = page.links.get("next", {}).get("url")
    assert [one["line"] for one in told] == [1, 2, 3, 4, 5]
    asked = [json.loads(one)["subject"] for one in sent.splitlines()]
    assert [one["score"]["subject"] for one in told] == asked
    assert is_problem(many.get("/v1/batches/bat_none"), 404, "job_unknown")


def test_a_batch_takes_its_scope_its_content_type_and_lines_that_are_lines(
    world: World, many: httpx.Client, caller: httpx.Client
) -> None:
    sent = lines(world, 1)
    assert is_problem(
        caller.post("/v1/batches", content=sent, headers=JSON_LINES), 403, "scope_missing"
    )
    wrong = many.post("/v1/batches", content=sent, headers={"Content-Type": "application/json"})
    assert is_problem(wrong, 415, "content_type_unknown")
    bad = many.post("/v1/batches", content=sent + b"[]\n", headers=JSON_LINES)
    assert is_problem(bad, 400, "batch_invalid")
    assert "line 2" in bad.json()["detail"]
    assert is_problem(many.post("/v1/batches", headers=JSON_LINES), 400, "batch_invalid")
    with world.node.database.read() as connection:
        open_ones = "SELECT count(*) FROM score_job WHERE state = 'receiving'"
        assert connection.exec_driver_sql(open_ones).scalar_one() == 0


def test_a_batch_over_its_size_or_too_slow_is_cut_off_while_it_comes(
    world: World, many: httpx.Client
) -> None:
    """A declared size is refused unread; chunks that add up to more are, before they are parsed."""
    small = {"/v1/batches": StreamLimits(4096, 0.3, frozenset({"application/jsonl"}))}
    server = HttpServer(create_app(world.node, BodyLimits(streams=small)), "127.0.0.1:0")
    server.start()
    address = f"http://127.0.0.1:{server.port}/v1/batches"

    def pieces(number: int, pause_s: float):
        for _ in range(number):
            yield b'{"subject":"sub_a","consent_id":"con_a"}\n' * 5
            time.sleep(pause_s)

    try:
        headers = {"Authorization": many.headers["authorization"], **JSON_LINES}
        with httpx.Client(timeout=20) as client:
            declared = client.post(address, content=b"x" * 5000, headers=headers)
            assert is_problem(declared, 413, "body_too_large")
            chunked = client.post(address, content=pieces(40, 0.0), headers=headers)
            assert is_problem(chunked, 413, "body_too_large")
            slow = client.post(address, content=pieces(2, 0.4), headers=headers)
            assert is_problem(slow, 408, "request_timeout")
    finally:
        server.stop()


def test_a_decision_is_computed_again_and_explained(world: World, caller: httpx.Client) -> None:
    made = caller.post("/v1/scores", json=body_for(world)).json()
    again = caller.post(f"/v1/scores/{made['score_id']}/rescore")
    assert again.status_code == 200, again.text
    assert again.json()["equal"] is True
    assert again.json()["reasons"] == made["reasons"]
    for language in LANGUAGES:
        notice = caller.get(
            f"/v1/scores/{made['score_id']}/adverse-action", params={"language": language}
        )
        assert notice.json()["language"] == language
        assert notice.json()["scale"] == made["scale"]
    assert is_problem(caller.post("/v1/scores/scr_none/rescore"), 404, "score_unknown")
    assert is_problem(caller.get("/v1/scores/scr_none/adverse-action"), 404, "score_unknown")


def test_who_is_not_known_gets_an_answer_without_a_number(
    world: World, caller: httpx.Client
) -> None:
    body = body_for(world, data_categories=["tax"])
    answer = caller.post("/v1/scores", json=body)
    assert answer.status_code == 201
    assert answer.json()["score"] is None
    assert answer.json()["exclusion"]["code"] == "no_data"
    assert caller.get(answer.headers["location"]).json() == answer.json()
    unknown = caller.post("/v1/scores", json=body | {"product": "leasing"})
    assert is_problem(unknown, 404, "product_unknown")
