"""Takes the pictures of `docs/portal.md`: a portal with one person in it, in a real Chromium.

    python -m scripts.screenshots [--out docs/screenshots]

The clock, the ids and the network are those of the run; nothing in a picture is drawn by hand.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.http.server import HttpServer
from node.consents.offers import OfferTerms
from node.consents.personal import AccountProof
from tests.browser.conftest import FLAGS, find_chromium, sign_in
from tests.browser.portal_world import PortalWorld, open_portal
from tests.browser.test_regulator import fill
from tests.network import person
from tests.regulator.world import open_world as open_supervised

MOST_BYTES = 150_000
ANNA = 1
CHOICE = "purpose=score&recipient=bank-a&class=credit_account&class=payment&class=tax&days=180"


@dataclass(frozen=True)
class Shot:
    """One picture: of which page, how wide, in which light and language; `height` cuts it
    off, from its beginning or, with `end`, before its end.
    """

    name: str
    path: str
    width: int = 880
    scheme: str = "light"
    language: str = "en"
    height: int = 900
    signed_in: bool = True
    end: bool = False


def main() -> None:
    """Take all pictures; says how large each is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    arguments = parser.parse_args()
    path = find_chromium()
    if path is None:
        sys.exit("no Chromium: install Debian's `chromium`, or name one in CREDENCE_CHROMIUM")
    from playwright.sync_api import sync_playwright

    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, open_portal(Path(folder)) as world:
        shots = list(settings(world))
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=path, args=FLAGS)
            for shot in shots:
                size = take(browser, world, shot, arguments.out)
                print(f"{shot.name:<20}{size / 1024:>8.1f} KiB")
                if size > MOST_BYTES:
                    sys.exit(f"{shot.name} is over {MOST_BYTES} bytes")
            supervise(browser, Path(folder) / "supervised", arguments.out)
            browser.close()


def settings(world: PortalWorld) -> Iterator[Shot]:
    """Bring about what the pictures show."""
    world.enrol(ANNA)
    proof, personal = AccountProof("passkey"), world.node.personal_consents()
    ended = world.grant(ANNA, purposes=("monitor",), valid_days=90)
    running = world.grant(ANNA, purposes=("score", "train"), valid_days=180)
    for _ in range(2):
        world.score(ANNA, running)
    offer = world.node.consents.offer(
        OfferTerms(purposes=("monitor",), data_categories=("payment",), valid_days=90)
    )
    world.node.consents.requests.ask(
        person(ANNA), offer, requested_by="desk", message="To follow your car loan.", days=14
    )
    world.cut("public-records")
    personal.withdraw(person(ANNA), ended, proof)
    yield Shot("home", "/portal/", height=1000)
    yield Shot("choose", "/portal/consents/new", height=1250)
    yield Shot("confirm", f"/portal/consents/confirm?{CHOICE}", height=900, end=True)
    yield Shot("withdrawal", f"/portal/consents/{ended}/withdrawal", height=780)
    yield Shot("access", "/portal/access", height=800)
    yield Shot("score", "/portal/score", height=1150)
    yield Shot("data-phone-dark", "/portal/data", 360, "dark", "en", 900)
    yield Shot("score-phone", "/portal/score", 360, "light", "zh-Hans", 900)
    yield Shot("consents-phone", "/portal/consents", 360, "dark", "zh-Hant", 900)
    yield Shot("rights", "/portal/rights", height=900)


def take(browser: Any, world: PortalWorld, shot: Shot, out: Path) -> int:
    """One picture; its size in bytes."""
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme=shot.scheme,
        locale="en-GB" if shot.language == "en" else shot.language,
        timezone_id="Asia/Shanghai",
    )
    if shot.signed_in:
        sign_in(context, world, ANNA)
    page = context.new_page()
    joined = "&" if "?" in shot.path else "?"
    page.goto(f"{world.url}{shot.path}{joined}lang={shot.language}")
    if shot.name == "access":
        page.click("#check-all")
        page.wait_for_function(
            "() => ![...document.querySelectorAll('output')].some((o) => !o.textContent)"
        )
        page.wait_for_timeout(300)
    if shot.end:
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    file = out / f"{shot.name}.png"
    page.screenshot(path=str(file))
    context.close()
    return file.stat().st_size


def supervise(browser: Any, folder: Path, out: Path) -> None:
    """The pictures of `docs/regulator.md`: one institution as its regulator sees it."""
    folder.mkdir()
    with open_supervised(folder) as world:
        fill(world)
        server = HttpServer(world.app, "127.0.0.1:7501")
        server.start()
        origin = "http://localhost:7501"
        cookie = {"name": "credence-desk", "value": world.browser().token, "url": origin}
        context = browser.new_context(viewport={"width": 880, "height": 1000}, locale="en-GB")
        context.add_cookies([cookie])
        page = context.new_page()
        page.goto(f"{origin}/regulator/")
        page.screenshot(path=str(out / "regulator-morning.png"))
        seq = world.leaves("score.issued")[0]["seq"]
        page.set_viewport_size({"width": 880, "height": 900})
        page.goto(f"{origin}/regulator/log/{seq}")
        page.get_by_role("button", name="Check in this browser").click()
        page.get_by_text("now remembers this root").wait_for()
        page.screenshot(path=str(out / "regulator-leaf.png"))
        context.close()
        server.stop()


if __name__ == "__main__":
    main()
