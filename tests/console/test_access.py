"""Who gets into the console, for how long, and what of it is in the log."""

import threading

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.verifier.note import Checkpoint, Note
from coordinator.browser_tokens import (
    FAILURES_BY_ADDRESS,
    FAILURES_IN_ALL,
    FAILURES_MS,
    ConsoleAttemptsExceeded,
)
from coordinator.console.access import LINK_MS, SESSION_MS, ConsoleAccess, ConsoleLinkRefused
from coordinator.settings import CoordinatorSettingsInvalid, make_settings
from protocols.canonical import b64url_encode
from tests.audit import naive
from tests.console.world import ConsoleWorld

PAGES = ("", "members", "campaigns", "privacy", "models", "relay", "ceremonies")
FILES = ("members.csv", "privacy.csv", "models.csv", "relay.csv")


@pytest.mark.parametrize("path", [*PAGES, *FILES, "campaigns/x", "campaigns/x/rounds.csv"])
def test_nothing_is_shown_to_who_is_not_signed_in(world: ConsoleWorld, path: str) -> None:
    """Every page and file leads to the page that says how to get in."""
    answer = world.browser().get(f"/operator/{path}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/operator/sign-in")
    assert "Harbour" not in answer.text


def test_a_link_opens_one_session_and_only_once(world: ConsoleWorld) -> None:
    """A link that was used opens nothing for whoever finds it later."""
    token, first, second = world.token(), world.browser(), world.browser()
    page = first.get(f"/operator/enter?token={token}")
    assert page.status_code == 200
    assert not page.cookies  # looking at it spends nothing
    answer = world.enter(first, token)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SESSION_MS // 1000}"):
        assert part in cookie
    assert first.get("/operator/").status_code == 200
    assert world.enter(second, token).status_code == 422
    assert second.get("/operator/").status_code == 303
    assert token not in first.get("/operator/").text


def test_of_many_browsers_with_one_link_one_gets_in(world: ConsoleWorld) -> None:
    """Two that press the button at one moment do not both get in."""
    token, opened = world.token(), []

    def press(number: int) -> None:
        try:
            opened.append(world.face.access.enter(token, f"10.0.0.{number}", "test"))
        except ConsoleLinkRefused:
            return

    threads = [threading.Thread(target=press, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    assert len(world.face.access.sessions()) == 1


def test_a_link_is_too_old_after_ten_minutes(world: ConsoleWorld) -> None:
    """A link left in a terminal opens nothing the next day."""
    token = world.token()
    world.clock.at_ms += LINK_MS
    assert world.enter(world.browser(), token).status_code == 422
    assert LINK_MS == 600_000


def test_a_session_ends_after_twelve_hours(world: ConsoleWorld, operator: httpx.Client) -> None:
    world.clock.at_ms += SESSION_MS - 1
    assert operator.get("/operator/members").status_code == 200
    world.clock.at_ms += 1
    assert operator.get("/operator/members").status_code == 303


def test_a_session_that_was_signed_out_or_ended_opens_nothing(
    world: ConsoleWorld, operator: httpx.Client
) -> None:
    """Signing out works at the server, not only in the browser's cookie."""
    kept = dict(operator.cookies)
    form = operator.get("/operator/").text.split('name="csrf" value="')[1].split('"')[0]
    origin = {"Origin": world.face.origin}
    assert operator.post("/operator/sign-out", headers=origin).status_code == 403
    assert operator.get("/operator/").status_code == 200
    answer = operator.post("/operator/sign-out", data={"csrf": form}, headers=origin)
    assert answer.status_code == 303
    assert httpx.get(f"{world.face.origin}/operator/", cookies=kept).status_code == 303
    another, unused = world.operator(), world.token()
    assert world.face.access.end_all() == 1
    assert another.get("/operator/").status_code == 303
    assert world.enter(world.browser(), unused).status_code == 422


def test_guessing_is_stopped_before_anything_is_looked_up(world: ConsoleWorld) -> None:
    """An address that fails ten times is refused, with a right link too; others are not."""
    token, access = world.token(), world.face.access
    for number in range(FAILURES_BY_ADDRESS):
        guess = b64url_encode(number.to_bytes(32, "big"))
        assert world.enter(world.browser(), guess).status_code == 422
    answer = world.enter(world.browser(), token)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "900")
    assert world.kinds().count("console.refused") == FAILURES_BY_ADDRESS
    assert access.enter(token, "10.1.1.1", "test")
    world.clock.at_ms += FAILURES_MS
    assert world.enter(world.browser(), world.token()).status_code == 303


def test_many_addresses_together_may_not_guess_for_ever(world: ConsoleWorld) -> None:
    access = world.face.access
    refused = 0
    for number in range(FAILURES_IN_ALL + 5):
        try:
            access.enter("", f"10.0.{number // 250}.{number % 250}", "test")
        except ConsoleLinkRefused:
            continue
        except ConsoleAttemptsExceeded:
            refused += 1
    assert refused == 5


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.text(max_size=80))
def test_no_text_is_a_key_by_chance(world: ConsoleWorld, token: str) -> None:
    """Any text in the place of a token is refused, and never a failure of ours."""
    access = ConsoleAccess(world.coordinator.database, world.coordinator.audit, world.clock)
    with pytest.raises(ConsoleLinkRefused):
        access.enter(token, "10.0.0.1", "test")
    assert access.find(token) is None
    access.sign_out(token)


def test_a_form_on_another_site_signs_nobody_in(world: ConsoleWorld) -> None:
    """Another site cannot put its own session into an operator's browser."""
    token = world.token()
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}):
        assert world.enter(world.browser(), token, **headers).status_code == 403
    fetched = {"Sec-Fetch-Site": "cross-site"}
    assert world.enter(world.browser(), token, **fetched).status_code == 403
    assert world.enter(world.browser(), token).status_code == 303


def test_every_way_in_and_out_is_a_leaf_of_the_log(world: ConsoleWorld) -> None:
    """What the log says of the console can be read without a token standing anywhere."""
    token = world.token()
    world.enter(world.browser(), token)
    world.enter(world.browser(), token)
    session = world.face.access.sessions()[0]
    world.face.access.end_all()
    kinds = [kind for kind in world.kinds() if kind.startswith("console.")]
    assert kinds == [
        "console.link_issued", "console.signed_in", "console.refused", "console.sessions_ended",
    ]  # fmt: skip
    files = world.coordinator.home.glob("coordinator.db*")
    kept = b"".join(path.read_bytes() for path in files)
    assert token.encode() not in kept
    assert session.session_id.startswith("con_")


def test_the_console_is_not_served_in_the_clear_beyond_loopback() -> None:
    """A session's cookie crosses no network without TLS."""
    with pytest.raises(CoordinatorSettingsInvalid, match="listen_console"):
        make_settings(listen_console="0.0.0.0:7402")
    proxied = make_settings(listen_console="0.0.0.0:7402", console_origin="https://console.example")
    assert proxied.console_origin == "https://console.example"
    with pytest.raises(CoordinatorSettingsInvalid):
        make_settings(listen_console="0.0.0.0:7402", console_origin="http://console.example")
    assert make_settings().listen_console.startswith("127.0.0.1:")


def test_bodies_are_bounded_and_of_one_kind(world: ConsoleWorld) -> None:
    client = world.browser()
    xml = {"Content-Type": "application/xml"}
    assert client.post("/operator/enter", content=b"<a/>", headers=xml).status_code == 415
    assert client.post("/operator/enter", json={}).status_code == 400  # a passkey's form, not this
    big = {"token": "a" * 40_000}
    assert client.post("/operator/enter", data=big).status_code == 413


def test_the_log_of_the_coordinator_is_read_in_a_session_and_not_without(
    world: ConsoleWorld, operator: httpx.Client
) -> None:
    """Checkpoint, leaves and proofs agree; a stranger gets a problem document, not a page."""
    note = Note.parse(operator.get("/v1/log/checkpoint").content)
    head = Checkpoint.parse(note.text)
    found = operator.get("/v1/log/leaves", params={"start": 0, "count": 256}).json()["leaves"]
    leaves = [one["leaf"].encode() for one in found][: head.size]
    assert naive.mth(leaves) == head.root
    for path in ("checkpoint", "leaves?start=0", "proof/inclusion?seq=0&size=1"):
        refused = world.browser().get(f"/v1/log/{path}")
        assert (refused.status_code, refused.json()["code"]) == (401, "log_session_needed")
