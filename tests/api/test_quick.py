"""The short way to a score answers as the framework does, whatever is sent."""

import itertools
import json
import re

import httpx
import pytest

from api.http.app import create_app
from api.http.quick import QuickScores
from api.http.server import HttpServer
from tests.api.test_scores import body_for
from tests.node.scoring_world import World

_keys = itertools.count()


@pytest.fixture(scope="module")
def long_way(world: World):
    """The same node without the short way."""
    app = create_app(world.node)
    app.user_middleware = [one for one in app.user_middleware if one.cls is not QuickScores]
    server = HttpServer(app, "127.0.0.1:0")
    server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
        yield client
    server.stop()


def told(answer: httpx.Response) -> tuple:
    """An answer without what is new every time."""
    body = answer.json()
    for name in ("request_id", "score_id", "issued_at_ms", "expires_at_ms", "receipt"):
        body.pop(name, None)
    body.pop("consent_uses_left", None)
    changing = {"x-request-id", "date", "ratelimit", "location", "content-length"}
    headers = {name: value for name, value in answer.headers.items() if name not in changing}
    location = re.sub(r"scr_\w+", "ID", answer.headers.get("location", ""))
    return answer.status_code, headers, body, location


@pytest.fixture(scope="module")
def sound(world: World, url: str, token: str) -> dict[str, str]:
    body = body_for(world, max_uses=1000)
    headers = {"Authorization": f"Bearer {token}"}
    httpx.post(f"{url}/v1/scores", json=body, headers=headers)  # holders are asked once
    return body


CHANGES = {
    "as it should be": {},
    "another language": {"language": "zh-Hant"},
    "no such subject": {"subject": "sub_nobody"},
    "no such consent": {"consent_id": "con_nothing"},
    "an empty subject": {"subject": ""},
    "a long subject": {"subject": "s" * 41},
    "another purpose": {"purpose": "train"},
    "a number": {"subject": 7},
    "a field of no meaning": {"birthday": "1990-01-01"},
    "no such product": {"product": "none-such"},
    "a null": {"language": None},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_both_ways_answer_alike(change, sound, caller, long_way) -> None:
    content = json.dumps(sound | change)
    headers = {"Content-Type": "application/json"}
    long_way.headers["Authorization"] = caller.headers["Authorization"]
    quick = caller.post("/v1/scores", content=content, headers=headers)
    slow = long_way.post("/v1/scores", content=content, headers=headers)
    assert told(quick) == told(slow)


RAW = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "NaN": b'{"subject": NaN}',
    "half a letter": b'{"subject": "\xe4\xb8"}',
    "a key twice": b'{"subject": "a", "subject": "b"}',
    "deep": b"[" * 5000,
}


@pytest.mark.parametrize("content", RAW.values(), ids=RAW)
def test_both_ways_refuse_what_is_no_call_alike(content, caller, long_way) -> None:
    headers = {"Content-Type": "application/json"}
    long_way.headers["Authorization"] = caller.headers["Authorization"]
    quick = caller.post("/v1/scores", content=content, headers=headers)
    slow = long_way.post("/v1/scores", content=content, headers=headers)
    assert quick.status_code in {400, 422}
    assert told(quick) == told(slow)


@pytest.mark.parametrize("authorization", ["", "Bearer nobody", "Basic eA=="])
def test_both_ways_turn_strangers_away_alike(authorization, sound, http, long_way) -> None:
    headers = {"Authorization": authorization}
    quick = http.post("/v1/scores", json=sound, headers=headers)
    slow = long_way.post("/v1/scores", json=sound, headers=headers)
    assert quick.status_code == 401
    assert told(quick) == told(slow)


@pytest.mark.parametrize("keys", [["k" * 65], ["not one!"], [""], ["one", "two"]])
def test_both_ways_read_idempotency_keys_alike(keys, sound, caller, long_way) -> None:
    token = caller.headers["Authorization"]
    headers = [("Authorization", token), *(("Idempotency-Key", key) for key in keys)]
    del caller.headers["Authorization"]
    long_way.headers.pop("Authorization", None)
    quick = caller.post("/v1/scores", json=sound, headers=headers)
    slow = long_way.post("/v1/scores", json=sound, headers=headers)
    # The first of a key twice is its name: sent again, it is a repetition.
    assert quick.status_code // 100 == slow.status_code // 100
    assert quick.json().get("code") == slow.json().get("code")


def test_a_key_used_one_way_is_known_the_other(sound, caller, long_way) -> None:
    long_way.headers["Authorization"] = caller.headers["Authorization"]
    key = {"Idempotency-Key": f"both-{next(_keys)}"}
    first = caller.post("/v1/scores", json=sound, headers=key)
    again = long_way.post("/v1/scores", json=sound, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.content == again.content
