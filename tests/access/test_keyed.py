"""`Idempotency-Key`: the same call again, another under its name, in flight, after a crash."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from protocols.errors import StateConflict, Unavailable
from tests.access.world import Platform, World


def post(platform: Platform, key: str, name: str = "a"):
    return platform.call("POST", json={"name": name}, headers={"Idempotency-Key": key})


@pytest.fixture
def key() -> str:
    return secrets.token_hex(8)


def test_a_repeated_call_acts_once_and_is_answered_alike(
    world: World, platform: Platform, key: str
) -> None:
    first, second = post(platform, key), post(platform, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first.headers["location"] == second.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["content-type"] == "application/json"
    assert second.headers["ratelimit"]
    assert world.acts == ["a"]


def test_another_call_under_the_same_key_is_refused(
    world: World, platform: Platform, key: str
) -> None:
    post(platform, key)
    answer = post(platform, key, "b")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert world.acts == ["a"]


def test_keys_of_two_clients_are_two(world: World, platform: Platform, key: str) -> None:
    other = world.platform(f"other of {key}", ("outcomes:write",)).sign_in()
    assert post(platform, key).json()["client"] == platform.client_id
    assert post(other, key).json()["client"] == other.client_id


def test_of_many_at_once_one_acts(world: World, platform: Platform, key: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(platform, key), range(6)))
    statuses = {answer.status_code for answer in answers}
    assert world.acts == ["a"]
    assert 201 in statuses
    assert statuses <= {201, 409}


def test_while_the_first_is_under_way_the_second_is_told_so(
    world: World, platform: Platform, key: str
) -> None:
    began, go_on = threading.Event(), threading.Event()

    class Slow(list):
        def append(self, name: str) -> None:
            began.set()
            assert go_on.wait(10)
            super().append(name)

    world.acts = Slow()
    try:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(post, platform, key)
            assert began.wait(10)
            second = post(platform, key)
            go_on.set()
            assert first.result().status_code == 201
    finally:
        world.acts = []
    problem = second.json()
    assert (second.status_code, problem["code"]) == (409, "idempotent_call_under_way")
    assert problem["retryable"] is True


def test_after_a_crash_an_unfinished_call_is_answered_honestly(
    world: World, platform: Platform, key: str
) -> None:
    """It was written down before it acted; whether it did, nobody can say, and nobody does."""

    def cut_off(*_: object) -> None:
        raise OSError("the process ends here")

    world.access.keyed_calls.end = cut_off
    assert post(platform, key).status_code == 500
    assert world.acts == ["a"]
    world.restart()
    platform.http = world.http()
    platform.sign_in()
    answer = post(platform, key)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotent_call_unfinished")
    assert answer.json()["retryable"] is False
    assert world.acts == ["a"]
    assert post(platform, key + "x").status_code == 201


def test_what_was_answered_survives_a_restart(world: World, platform: Platform, key: str) -> None:
    first = post(platform, key)
    world.restart()
    platform.http = world.http()
    platform.sign_in()
    assert post(platform, key).content == first.content
    assert world.acts == ["a"]


@pytest.mark.parametrize("failure", [Unavailable("not now"), StateConflict("not like this")])
def test_a_call_that_was_refused_leaves_its_key_free(
    world: World, platform: Platform, key: str, failure: Exception
) -> None:
    world.fails.append(failure)
    assert not post(platform, key).is_success
    assert post(platform, key, "b").status_code == 201


def test_after_a_failure_of_ours_nobody_says_that_nothing_was_done(
    world: World, platform: Platform, key: str
) -> None:
    world.fails.append(ValueError("ours"))
    assert post(platform, key).status_code == 500
    assert post(platform, key).json()["code"] == "idempotent_call_unfinished"


def test_a_key_is_free_again_after_a_day(world: World, platform: Platform, key: str) -> None:
    post(platform, key)
    world.clock[0] += 24 * 3_600_000
    platform.sign_in()
    assert post(platform, key, "b").status_code == 201
    assert world.acts == ["a", "b"]


@pytest.mark.parametrize("key", ["", "x" * 65, "with blank", "\u00fc"])
def test_a_key_of_the_wrong_form_is_refused(platform: Platform, key: str) -> None:
    headers = [("Idempotency-Key", key.encode("latin-1"))]
    proof = platform.proof("POST", "/v1/thing", token=platform.token)
    headers += [("Authorization", f"DPoP {platform.token}"), ("DPoP", proof)]
    answer = platform.http.post("/v1/thing", json={}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")


def test_nobody_learns_of_a_key_without_being_the_client(
    world: World, platform: Platform, key: str
) -> None:
    post(platform, key)
    answer = world.http().post("/v1/thing", json={"name": "a"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_refused")
    reader = world.platform(f"reader of {key}").sign_in()
    assert post(reader, key).json()["code"] == "scope_missing"
