"""The stream that tells an open page what has changed: bounded, resumed, ended with its session."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from api.http.operator.live import Changes
from tests.console.world import QUICK, ConsoleWorld

SECTIONS = ["alerts", "campaigns", "ceremonies", "members", "models", "relay", "watch"]


@contextmanager
def stream(client: httpx.Client, known: str = "", since: str = "") -> Iterator[httpx.Response]:
    headers = {"Last-Event-ID": known} if known else {}
    with client.stream("GET", f"/operator/events?since={since}", headers=headers) as answer:
        yield answer


def event(lines: Iterator[str]) -> tuple[str, list[str]]:
    """The next event: its id and the sections it names."""
    number = ""
    for line in lines:
        if line.startswith("id: "):
            number = line.removeprefix("id: ")
        if line.startswith("data: "):
            return number, json.loads(line.removeprefix("data: ")).get("sections", [])
    raise AssertionError("the stream ended")


def stamp(client: httpx.Client) -> str:
    return client.get("/operator/").text.split('data-stamp="')[1].split('"')[0]


def test_events_are_for_who_is_signed_in(world: ConsoleWorld) -> None:
    answer = world.browser().get("/operator/events")
    assert answer.status_code == 401
    assert answer.json()["code"] == "console_not_signed_in"


def test_a_change_after_the_page_is_told_by_section(world: ConsoleWorld, operator) -> None:
    """Nothing between the page and its stream is lost, and an event holds names of sections."""
    plan = world.propose()
    shown = stamp(operator)
    world.round(plan, 1)
    with stream(operator, since=shown) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        lines = answer.iter_lines()
        first, sections = event(lines)
        assert "campaigns" in sections
        assert "relay" not in sections
        world.see("bank-a")
        second, sections = event(lines)
        assert {"members", "alerts"} <= set(sections)
        assert int(second.split("-")[1]) > int(first.split("-")[1])


def test_a_browser_that_comes_back_hears_what_it_missed(world: ConsoleWorld, operator) -> None:
    """Last-Event-ID is honoured; one of another process, or none of ours, means everything."""
    with stream(operator) as answer:
        known, sections = event(answer.iter_lines())
        assert sections == SECTIONS
    world.see("bank-b")
    with stream(operator, known=known) as answer:
        _, sections = event(answer.iter_lines())
        assert set(sections) == {"members", "alerts"}
    for strange in ("00000000-1", "x" * 500, f"{known.split('-')[0]}-999999"):
        with stream(operator, known=strange) as answer:
            assert event(answer.iter_lines())[1] == SECTIONS


def test_silence_is_kept_alive_by_a_beat(world: ConsoleWorld, operator) -> None:
    with stream(operator, since=stamp(operator)) as answer:
        assert next(line for line in answer.iter_lines() if line.startswith(":")) == ": "


def test_streams_are_bounded_by_session_and_in_all(world: ConsoleWorld, operator) -> None:
    """Who opens many pages, or many browsers, leaves the console working for others."""
    kept = []  # an iterator that nobody holds closes its stream
    with ExitStack() as held:
        for client, expected in (
            (operator, QUICK.of_session), (world.operator(), QUICK.streams - QUICK.of_session),
        ):  # fmt: skip
            for _ in range(expected):
                kept.append(held.enter_context(stream(client)).iter_lines())
                event(kept[-1])
            refused = client.get("/operator/events")
            assert refused.status_code == 503
            assert refused.json()["code"] == "live_streams_taken"
        assert world.face.live.open_streams == QUICK.streams
        assert operator.get("/operator/").status_code == 200
    deadline = time.monotonic() + 5
    while world.face.live.open_streams:  # who has gone frees the seat
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_stream_ends_with_its_session(world: ConsoleWorld, operator) -> None:
    with stream(operator) as answer:
        lines = answer.iter_lines()
        event(lines)
        world.face.access.end_all()
        assert "event: ended" in list(lines)


def test_the_process_stops_although_pages_are_open(world: ConsoleWorld, operator) -> None:
    with stream(operator) as answer:
        lines = answer.iter_lines()
        event(lines)
        began = time.monotonic()
        world.face.stop()
        assert time.monotonic() - began < 3


def test_tables_are_looked_at_no_more_often_than_asked(world: ConsoleWorld) -> None:
    """However many pages are open, the database is read once an interval."""
    looks = []

    def look() -> dict[str, str]:
        looks.append(1)
        return {"members": str(len(looks))}

    changes = Changes(look, look_s=60)
    for _ in range(100):
        changes.now()
    assert len(looks) == 1


@pytest.mark.parametrize("count", [1, 300])
def test_what_is_too_long_ago_means_everything(count: int) -> None:
    state = {"a": 0, "b": 0}

    def look() -> dict[str, str]:
        return {name: str(value) for name, value in state.items()}

    changes = Changes(look, look_s=0)
    first = changes.now()
    for _ in range(count):
        state["a"] += 1
        changes.now()
    assert changes.since(first)[1] == (("a",) if count == 1 else ("a", "b"))
