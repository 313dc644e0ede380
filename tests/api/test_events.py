"""Webhooks, monitors and outcomes as a financing platform calls them."""

import itertools
from datetime import UTC, datetime

import httpx
import pytest

from tests.api.test_scores import is_problem
from tests.network import now_ms
from tests.node.scoring_world import World, ref

_people = itertools.count(9000)
HOOK = "https://93.184.216.34/hook"  # never called: only the running process delivers
SCOPES = ("scores:write", "monitor:write", "outcomes:write", "webhooks:write")


@pytest.fixture
def platform(world: World, http: httpx.Client) -> httpx.Client:
    """A client with the scopes for events."""
    name = f"platform {next(_people)}"
    token = world.clients.add(name, now_ms(), SCOPES)[1]
    http.headers["Authorization"] = f"Bearer {token}"
    return http


def test_an_endpoint_is_added_tested_changed_and_removed(platform: httpx.Client) -> None:
    made = platform.post("/v1/webhook-endpoints", json={"url": HOOK, "types": ["monitor.ended"]})
    assert made.status_code == 201
    path = f"/v1/webhook-endpoints/{made.json()['endpoint_id']}"
    assert made.json()["keys"][0]["public"].startswith("whpk_")
    tested = platform.post(f"{path}/test")
    assert (tested.status_code, tested.json()["state"]) == (202, "pending")
    rotated = platform.post(f"{path}/rotate-key").json()["keys"]
    assert [key["until_ms"] is None for key in rotated] == [True, False]
    page = platform.get(f"{path}/deliveries", params={"limit": 1}).json()
    assert page["data"][0]["message_id"] == tested.json()["message_id"]
    rest = platform.get(f"{path}/deliveries", params={"cursor": page["next_cursor"]}).json()
    assert rest == {"data": [], "next_cursor": None}
    again = platform.post(f"{path}/replay", json={"message_id": tested.json()["message_id"]})
    assert again.json() == {"deliveries": 1}
    off = platform.patch(path, json={"state": "disabled"}).json()
    assert (off["state"], off["disabled_for"]) == ("disabled", "by_client")
    assert is_problem(platform.post(f"{path}/test"), 409, "webhook_endpoint_disabled")
    assert platform.delete(path).status_code == 204
    assert is_problem(platform.get(path), 404, "webhook_endpoint_unknown")


@pytest.mark.parametrize(
    "target", ["http://93.184.216.34/", "https://127.0.0.1/", "https://169.254.169.254/latest"]
)
def test_an_endpoint_inside_is_refused(platform: httpx.Client, target: str) -> None:
    answer = platform.post("/v1/webhook-endpoints", json={"url": target})
    assert is_problem(answer, 400, "webhook_url_refused")


def test_words_that_are_none_are_refused(platform: httpx.Client) -> None:
    made = platform.post("/v1/webhook-endpoints", json={"url": HOOK}).json()
    path = f"/v1/webhook-endpoints/{made['endpoint_id']}"
    for body in ({}, {"message_id": "msg_a", "from_ms": 1}, {"until_ms": 5}):
        assert is_problem(platform.post(f"{path}/replay", json=body), 400, "invalid_input")
    for cursor in ("x", "PHg", "PDk5OTk5OTk5OTk5OTk5OTk5OTk5", "PDk5OTk5OTk5OTk5OTk5OTk5OTk"):
        answer = platform.get(f"{path}/deliveries", params={"cursor": cursor})
        assert is_problem(answer, 400, answer.json()["code"])
    wrong = platform.post("/v1/webhook-endpoints", json={"url": HOOK, "types": ["all"]})
    assert is_problem(wrong, 422, "invalid_input")


def test_a_monitor_begins_under_a_consent_for_it_and_ends(
    world: World, platform: httpx.Client
) -> None:
    (one,) = world.enrol(next(_people))
    consent = world.consent(one, purposes=["monitor"])
    body = {"subject": ref(one), "consent_id": consent.consent_id}
    made = platform.post("/v1/monitors", json=body | {"thresholds": {"score_drop_points": 5}})
    assert made.status_code == 201
    assert made.json()["thresholds"]["score_drop_points"] == 5
    path = f"/v1/monitors/{made.json()['monitor_id']}"
    assert is_problem(platform.post("/v1/monitors", json=body), 409, "monitor_exists")
    assert platform.get(f"{path}/events").json() == {"data": [], "next_cursor": None}
    assert platform.delete(path).status_code == 204
    assert platform.get(path).json()["ended_for"] == "by_client"
    other = world.consent(one, purposes=["score"])
    refused = platform.post("/v1/monitors", json=body | {"consent_id": other.consent_id})
    assert is_problem(refused, 403, "purpose_not_granted")


def test_an_outcome_is_reported_once_and_corrected_by_name(
    world: World, platform: httpx.Client
) -> None:
    (one,) = world.enrol(next(_people))
    consent = world.consent(one)
    body = {"subject": ref(one), "consent_id": consent.consent_id, "purpose": "score"}
    score = platform.post("/v1/scores", json=body).json()
    day = "2000-01-01"
    report = {"score_id": score["score_id"], "outcome": "prepaid", "as_of": day}
    assert is_problem(platform.post("/v1/outcomes", json=report), 400, "invalid_input")
    report["as_of"] = datetime.now(UTC).date().isoformat()
    first = platform.post("/v1/outcomes", json=report)
    again = platform.post("/v1/outcomes", json=report)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = report | {"outcome": "default"}
    assert is_problem(platform.post("/v1/outcomes", json=other), 409, "outcome_reported")
    fixed = platform.post("/v1/outcomes", json=other | {"corrects": 1})
    assert fixed.json()["version"] == 2
    versions = platform.get(first.headers["location"]).json()["data"]
    assert [(one["version"], one["outcome"]) for one in versions] == [
        (1, "prepaid"),
        (2, "default"),
    ]


@pytest.mark.parametrize("path", ["/v1/webhook-endpoints", "/v1/monitors", "/v1/outcomes"])
def test_another_scope_opens_none_of_it(caller: httpx.Client, path: str) -> None:
    bodies = {
        "/v1/webhook-endpoints": {"url": HOOK},
        "/v1/monitors": {"subject": "sub_a", "consent_id": "con_a"},
        "/v1/outcomes": {"score_id": "scr_a", "outcome": "default", "as_of": "2026-01-01"},
    }
    assert is_problem(caller.post(path, json=bodies[path]), 403, "scope_missing")
