"""How often a client may call, and what it is told about it."""

import re
from pathlib import Path

import pytest

from node.access.limits import SET_ASIDE, CallLimits, Limits
from node.access.presented import QuotaExceeded, RateLimited
from node.storage.clients import ClientRow
from tests.access.world import Platform, World

ROW = ClientRow("cli_counted", "Counted", None, "scores:read", 1)


def limits(world: World, rate: float = 10, burst: int = 5, quota: int = 10_000) -> CallLimits:
    return CallLimits(world.node.database, Limits(rate, burst, quota), lambda: world.clock[0])


def test_a_bucket_empties_and_fills_again(world: World) -> None:
    counted = limits(world)
    for _ in range(5):
        counted.take(ROW, {})
    told: dict[str, str] = {}
    with pytest.raises(RateLimited):
        counted.take(ROW, told)
    assert told["Retry-After"] == "1"
    world.clock[0] += 100
    counted.take(ROW, {})
    world.clock[0] -= 60_000  # a clock that is set back gives nothing
    with pytest.raises(RateLimited):
        counted.take(ROW, {})


def test_a_client_has_its_own_limits_where_it_has_some(world: World) -> None:
    counted = limits(world)
    own = ClientRow("cli_slow", "Slow", None, "scores:read", 1, rate=0.1, burst=1)
    told: dict[str, str] = {}
    counted.take(own, told)
    assert told["RateLimit-Policy"] == '"burst";q=1;w=10, "day";q=10000;w=86400'
    with pytest.raises(RateLimited):
        counted.take(own, told)
    assert told["Retry-After"] == "10"


def test_a_day_is_never_more_than_its_quota_also_through_crashes(world: World) -> None:
    row = ClientRow("cli_quota", "Quota", None, "scores:read", 1, burst=1000, daily_quota=300)
    made = 0
    for _ in range(200):  # a process that ends after two calls, again and again
        counted = limits(world)
        try:
            for _ in range(2):
                counted.take(row, {})
                made += 1
        except QuotaExceeded:
            break
    assert 200 <= made <= 300
    world.clock[0] += 86_400_000
    limits(world).take(row, {})


def test_what_was_set_aside_is_given_back_at_the_end(world: World) -> None:
    row = ClientRow("cli_orderly", "Orderly", None, "scores:read", 1, burst=1000, daily_quota=300)
    for _ in range(300):
        counted = limits(world)
        counted.take(row, {})
        counted.give_back()
    with pytest.raises(QuotaExceeded):
        limits(world).take(row, {})


def test_who_goes_on_calling_after_its_quota_makes_nothing_be_written(world: World) -> None:
    row = ClientRow("cli_loud", "Loud", None, "scores:read", 1, daily_quota=0)
    counted, told = limits(world), {}
    with pytest.raises(QuotaExceeded):
        counted.take(row, told)
    assert 0 < int(told["Retry-After"]) <= 86_400
    with world.node.database.write(), pytest.raises(QuotaExceeded):
        counted.take(row, told)


def test_a_quota_is_written_rarely(world: World) -> None:
    counted = limits(world, rate=100_000, burst=100_000, quota=10**9)
    counted.take(ROW, {})
    with world.node.database.write() as connection:
        connection.rollback()
        for _ in range(SET_ASIDE - 1):
            counted.take(ROW, {})


def test_every_answer_says_what_is_left_and_429_when_to_go_on(
    world: World, platform: Platform
) -> None:
    world.access.clients.limit(
        platform.client_id, world.clock[0], rate=1.0, burst=2, daily_quota=100
    )
    world.clock[0] += 10_000
    first = platform.call()
    assert first.headers["ratelimit-policy"] == '"burst";q=2;w=2, "day";q=100;w=86400'
    assert re.fullmatch(r'"burst";r=1;t=1, "day";r=9[0-9];t=[0-9]+', first.headers["ratelimit"])
    down = platform.call(path="/v1/down")
    assert (down.status_code, down.headers["ratelimit"][:11]) == (503, '"burst";r=0')
    refused = platform.call()
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.json()["retryable"] is True
    assert refused.headers["retry-after"] == "1"
    token = platform.ask()
    assert (token.status_code, token.json()["error"]) == (429, "temporarily_unavailable")
    world.clock[0] += 1000
    assert platform.call().is_success


def test_refused_calls_stand_in_the_log_once_a_minute(world: World, platform: Platform) -> None:
    before = world.node.audit.head().size
    for _ in range(4):
        platform.call(proof="a.b.c")
    world.clock[0] += 60_000
    platform.call(proof="a.b.c")
    assert world.kinds(before) == ["client.refused", "client.refused"]
    payloads = world.node.audit.payloads(range(before, before + 2))
    assert payloads[before + 1] == {"code": "dpop_proof_refused", "more_before": 3}


def test_what_has_ended_is_dropped(world: World, platform: Platform, tmp_path: Path) -> None:
    from sqlalchemy import func, select

    from node.storage.access_tables import client_usage, keyed_call, spent_assertion

    platform.call()
    world.clock[0] += 3 * 86_400_000
    world.access.tidy()
    with world.node.database.read() as connection:
        for table in (client_usage, keyed_call, spent_assertion):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0
