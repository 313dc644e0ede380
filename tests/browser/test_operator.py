"""The operator's console in a real browser, while a small campaign runs."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.http.operator.face import ConsoleFace
from coordinator.relay.ledger import CarriedLedger
from tests.browser.conftest import screenshots
from tests.browser.test_accessible import check
from tests.federation.world import World, now_ms, open_world

PAGES = {
    "overview": "/operator/",
    "members": "/operator/members",
    "campaigns": "/operator/campaigns",
    "campaign": "/operator/campaigns/{campaign}",
    "privacy": "/operator/privacy",
    "models": "/operator/models",
    "model": "/operator/models/model-0001",
    "relay": "/operator/relay",
    "ceremonies": "/operator/ceremonies",
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("operator"), size=80) as opened:
        yield opened


@pytest.fixture(scope="module")
def face(network: World) -> Iterator[ConsoleFace]:
    served = ConsoleFace(network.coordinator, "127.0.0.1:0", home="./coordinator")
    served.start()
    yield served
    served.stop()


def _see(network: World) -> None:
    """What the process does every few seconds."""
    network.coordinator.membership.note_seen(network.coordinator.presence.take())


@pytest.mark.slow
def test_the_console_follows_a_running_campaign(
    page: Any, network: World, face: ConsoleFace
) -> None:
    """In by the link, rounds without reloading, every page for everybody, out again."""
    page.goto(face.link(face.access.issue().token))
    page.get_by_role("button", name="Open the console").click()
    page.wait_for_url("**/operator/")
    page.get_by_text("Live:", exact=True).wait_for()

    plan = network.propose(rounds=14)
    page.locator("#campaign a", has_text=plan.campaign_id).wait_for()
    page.goto(f"{face.origin}/operator/campaigns/{plan.campaign_id}")
    page.evaluate("window.neverReloaded = true")
    page.locator("#curves svg").first.wait_for()
    network.finish(plan.campaign_id)
    page.get_by_text("14 of 14 rounds").wait_for()
    page.locator("#state", has_text="completed").wait_for()
    page.get_by_text("--follow-up model-0001").wait_for()
    assert page.evaluate("window.neverReloaded") is True
    _see(network)
    _relay(network)

    face_pages = {name: face.origin + path.format(campaign=plan.campaign_id)
                  for name, path in PAGES.items()}  # fmt: skip
    for name, address in face_pages.items():
        assert check(page, address) == {}, name
        _picture(page, address, name)
    page.set_viewport_size({"width": 360, "height": 800})
    for language in ("zh-Hans", "zh-Hant"):
        for address in face_pages.values():
            page.goto(f"{address}?lang={language}")
            assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    page.goto(f"{face.origin}/operator/?lang=en")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/operator/sign-in")
    assert check(page, face.origin + "/operator/sign-in") == {}


def test_the_console_works_without_scripts(
    chromium: Any, network: World, face: ConsoleFace
) -> None:
    """The link opens, and the page has a link that refreshes it."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(face.link(face.access.issue().token))
    page.get_by_role("button", name="Open the console").click()
    page.wait_for_url("**/operator/")
    assert page.get_by_text("Not live:").is_visible()
    page.get_by_role("link", name="Refresh").click()
    page.wait_for_url("**/operator/")
    context.close()


def test_a_page_whose_session_was_ended_leaves(page: Any, face: ConsoleFace) -> None:
    """An open page shows nothing more once the operator has ended all sessions."""
    page.goto(face.link(face.access.issue().token))
    page.get_by_role("button", name="Open the console").click()
    page.get_by_text("Live:", exact=True).wait_for()
    face.access.end_all()
    face.live.changes.now()
    page.wait_for_url("**/operator/sign-in", timeout=25_000)


def _relay(network: World) -> None:
    ledger = CarriedLedger(network.coordinator.database, network.coordinator.audit, now_ms)
    for pair, there, back in (
        (("bank-a", "bank-c"), 48_000, 210_000), (("bank-b", "bank-c"), 31_000, 95_000),
    ):  # fmt: skip
        ledger.add(*pair, there, back)
    ledger.write()


def _picture(page: Any, address: str, name: str) -> None:
    folder = screenshots()
    if folder is None:
        return
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 360)):
        page.set_viewport_size({"width": width, "height": 860})
        page.emulate_media(color_scheme=scheme)
        page.goto(address)
        page.get_by_text("Live:", exact=True).wait_for()
        time.sleep(0.1)
        path = Path(folder) / f"operator-{name}-{scheme}-{width}.png"
        page.screenshot(path=path, full_page=name != "campaign")
