"""A real headless Chromium in front of a real portal.

Any word on a page's console, any violation of its policy and any failed request fail the test.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.browser.portal_world import PortalWorld, open_portal

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed (make setup)"
)

# The flags keep the browser from calling anybody but the pages under test.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-US",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The browser: of the environment, or of the system."""
    named = os.environ.get("CREDENCE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Complaints:
    """What a page's console said."""

    said: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def allow(self, *parts: str) -> None:
        """Words that a test brings about on purpose."""
        self.expected += parts

    def left(self) -> list[str]:
        return [one for one in self.said if not any(part in one for part in self.expected)]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    with open_portal(tmp_path_factory.mktemp("portal")) as opened:
        yield opened


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator["playwright.Browser"]:
    path = find_chromium()
    if path is None:
        pytest.skip(
            "no Chromium here: install Debian's `chromium`, or name one in CREDENCE_CHROMIUM"
        )
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def context(
    chromium: "playwright.Browser", complaints: Complaints
) -> Iterator["playwright.BrowserContext"]:
    """A fresh browser profile; fails when a page of it complained."""
    opened = chromium.new_context(
        viewport={"width": 1280, "height": 900}, locale="en-US", timezone_id="Asia/Shanghai"
    )
    opened.set_default_timeout(10_000)
    opened.on("page", lambda page: _listen(page, complaints))
    yield opened
    opened.close()
    assert not complaints.left()


@pytest.fixture
def page(context: "playwright.BrowserContext") -> "playwright.Page":
    return context.new_page()


def _listen(page: "playwright.Page", complaints: Complaints) -> None:
    page.on("console", lambda message: complaints.said.append(message.text))
    page.on("pageerror", lambda error: complaints.said.append(str(error)))
    page.on("requestfailed", lambda request: _failed(request, complaints))


def _failed(request: "playwright.Request", complaints: Complaints) -> None:
    # A navigation that turns into a download, or that another one overtakes, is aborted.
    if "ERR_ABORTED" not in (request.failure or ""):
        complaints.said.append(f"{request.url}: {request.failure}")


def sign_in(context: "playwright.BrowserContext", world: PortalWorld, number: int) -> None:
    """Give the browser a person's session."""
    context.add_cookies(
        [{"name": "credence", "value": world.session(number), "url": world.url, "httpOnly": True}]
    )


def screenshots() -> Path | None:
    """Where the tests leave pictures, if they are asked to."""
    folder = os.environ.get("CREDENCE_SCREENSHOTS")
    return Path(folder) if folder else None
