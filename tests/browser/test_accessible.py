"""Every page of the portal and of the desk: no violation axe-core finds, nothing cut off."""

from importlib import resources
from typing import Any

import pytest

from node.consents.offers import OfferTerms
from node.people.sessions import DESK
from node.rights.steps import Action, Clerk
from node.storage import people
from node.storage.people import AccountRow
from protocols.identifiers import new_id
from tests.browser.conftest import Complaints, sign_in
from tests.browser.portal_world import PortalWorld, ref
from tests.network import now_ms, person

axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed (make setup)")
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")

NUMBER, OTHER = 301, 302
_DESK = frozenset({"desk", "privacy_officer"})
# WCAG 2.2 AA and what axe calls best practice.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHOICE = "purpose=score&purpose=train&recipient=bank-a&class=payment&class=tax&days=90"

PAGES = {
    "home": "/portal/",
    "consents": "/portal/consents",
    "ended": "/portal/consents?show=ended",
    "consent": "/portal/consents/{running}",
    "withdrawal": "/portal/consents/{ended}/withdrawal",
    "receipt": "/portal/consents/{ended}/receipt",
    "choose": "/portal/consents/new",
    "choose_again": "/portal/consents/confirm?days=30",
    "confirm": f"/portal/consents/confirm?{CHOICE}",
    "confirm_each": f"/portal/consents/confirm?{CHOICE}&recipient=bank-b",
    "answer": "/portal/consents/{asked}/answer",
    "access": "/portal/access?show=all",
    "score": "/portal/score",
    "data": "/portal/data",
    "rights": "/portal/rights",
    "dispute_items": "/portal/rights/dispute",
    "dispute": "/portal/rights/dispute?source=bank-a&signal=credit_limit",
    "disputed": "/portal/rights/requests/{dispute}",
    "corrected": "/portal/rights/requests/{correction}",
    "correct": "/portal/rights/correct",
    "delete": "/portal/rights/delete",
    "object": "/portal/rights/object",
    "copy": "/portal/rights/copy",
    "reports": "/portal/rights/report",
    "report": "/portal/rights/report/{report}",
    "confirm_again": "/portal/confirm?next=/portal/data",
    "security": "/portal/security",
    "absent": "/portal/nothing-here",
}
OUTSIDE = {"sign_in": "/portal/sign-in", "activate": "/portal/activate", "desk": "/desk/sign-in"}
DESK_PAGES = {
    "queue": "/desk/",
    "queue_of_a_kind": "/desk/?kind=dispute",
    "ended": "/desk/ended",
    "statements": "/desk/statements",
    "person": "/desk/person",
    "dispute": "/desk/requests/{dispute}",
    "correction": "/desk/requests/{correction}",
    "deletion": "/desk/requests/{deletion}",
    "review": "/desk/requests/{review}",
    "copy": "/desk/requests/{copy}",
    "done": "/desk/requests/{done}",
    "security": "/desk/security",
    "confirm_again": "/desk/confirm?next=/desk/",
    "absent": "/desk/requests/rgt_absent",
}


@pytest.fixture(scope="module")
def ids(world: PortalWorld) -> dict[str, str]:
    """A person to whom everything has happened; ids for the addresses."""
    world.enrol(NUMBER)
    running = world.grant(NUMBER, purposes=("score", "train"))
    ended = world.grant(NUMBER)
    world.score(NUMBER, running)
    world.node.personal_consents().withdraw(person(NUMBER), ended, _proof())
    offer = world.node.consents.offer(OfferTerms(purposes=("monitor",)))
    asked = world.node.consents.requests.ask(
        person(NUMBER), offer, requested_by="desk", message="For the loan you have.", days=7
    )
    return {"running": running, "ended": ended, "asked": asked.consent_id, **_rights(world)}


def _rights(world: PortalWorld) -> dict[str, str]:
    """A request of every kind, at every stage a page shows differently."""
    world.enrol(OTHER, kind=1)
    bank, one = world.node.rights, person(NUMBER)
    anna, ben = Clerk("stf_anna", _DESK), Clerk("stf_ben", _DESK)
    dispute = bank.dispute(one, "payments", "paid_ratio_1m", "I paid.", statement="Paid in May.")
    correction = bank.person.correct(one, "credit_limit", "It is 60,000.")
    bank.act(anna, correction.request_id, Action.PROPOSE, "You are right.", 60_000.0)
    done = bank.person.access(person(OTHER), "Please send it.")
    bank.act(anna, done.request_id, Action.REFUSE, "You have had one.")
    review = bank.person.object(one, "Please look again.")
    bank.act(ben, review.request_id, Action.TAKE)
    report = bank.person.take_report(one)
    found = {
        "dispute": dispute,
        "correction": correction,
        "deletion": bank.person.delete(person(OTHER), "Please delete it all."),
        "review": review,
        "copy": bank.person.access(one, ""),
        "done": done,
    }
    ids = {name: request.request_id for name, request in found.items()}
    return {**ids, "report": f"{report.year}/{report.number}"}


def _proof() -> Any:
    from node.consents.personal import AccountProof

    return AccountProof("passkey")


@pytest.fixture
def anyway(complaints: Complaints) -> None:
    """Some of the pages are answers to errors."""
    complaints.allow("404", "422", "403")


def check(page: Any, address: str) -> dict[str, list[str]]:
    """What is wrong with a page, by how it is looked at; nothing at best."""
    page.goto(address)
    return looked_at(page)


def looked_at(page: Any) -> dict[str, list[str]]:
    """What is wrong with the page that is open, on a phone and on a desk, in light and dark.

    Colours do not depend on the width, nor the layout on the scheme: two looks see all of it.
    """
    found = {}
    for width, scheme in ((360, "light"), (1280, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found[f"{scheme} at {width}"] = violations(page)
    return {look: wrong for look, wrong in found.items() if wrong}


def violations(page: Any) -> list[str]:
    """What axe finds, whether something is wider than the screen or too small to touch."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE)
    found = page.evaluate(
        """async (tags) => {
          const only = { runOnly: { type: "tag", values: tags } };
          const { violations } = await axe.run(document, only);
          return violations.map((one) => `${one.id}: ${one.nodes.map((n) => n.target).join(" ")}`);
        }""",
        TAGS,
    )
    wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    small = page.evaluate(
        """() => Array.from(document.querySelectorAll("button, .button, input:not([type=hidden])"))
          .filter((one) => one.offsetParent !== null)
          .filter((one) => one.getBoundingClientRect().height < 24).map((one) => one.outerHTML)"""
    )
    return [*found, *(["wider than the screen"] if wide else []), *small]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.usefixtures("anyway")
def test_a_page_of_the_portal_is_for_everybody(
    page: Any, world: PortalWorld, ids: dict[str, str], name: str
) -> None:
    """axe-core finds nothing, in light and dark, on a phone and on a desk."""
    sign_in(page.context, world, NUMBER)
    assert check(page, world.url + PAGES[name].format(**ids)) == {}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_page_before_sign_in_is_for_everybody(page: Any, world: PortalWorld, name: str) -> None:
    assert check(page, world.url + OUTSIDE[name]) == {}


@pytest.mark.parametrize("name", DESK_PAGES)
@pytest.mark.usefixtures("anyway")
def test_a_page_of_the_desk_is_for_everybody(
    page: Any, world: PortalWorld, ids: dict[str, str], name: str
) -> None:
    """axe-core finds nothing, in light and dark, on a phone and on a desk."""
    at_the_desk(page, world)
    assert check(page, world.url + DESK_PAGES[name].format(**ids)) == {}


@pytest.mark.usefixtures("ids")
def test_what_a_form_shows_is_for_everybody(page: Any, world: PortalWorld) -> None:
    """A person's file at the desk, which no address leads to."""
    at_the_desk(page, world)
    page.goto(f"{world.url}/desk/person")
    page.fill("[name=subject]", ref(NUMBER))
    page.fill("[name=reason]", "They called about their dispute.")
    page.click("form[action='/desk/person'] button")
    assert looked_at(page) == {}


def at_the_desk(page: Any, world: PortalWorld) -> None:
    """Give the browser a member of staff's session."""
    cookie = {"name": "credence-desk", "value": _staff(world), "url": world.url, "httpOnly": True}
    page.context.add_cookies([cookie])


def test_the_checker_sees_what_is_wrong(page: Any, world: PortalWorld) -> None:
    """An image without words, grey on grey, a small button, a wide box: each is found."""
    page.goto(f"{world.url}/portal/sign-in")
    page.evaluate(
        """() => document.querySelector("main").insertAdjacentHTML("beforeend",
          `<img src="/static/icon.svg"><p id="pale">pale</p><button id="tiny">x</button>`)"""
    )
    page.evaluate(
        """() => {
          document.getElementById("pale").style.color = "#ccc";
          document.getElementById("tiny").style.cssText = "min-height:0;height:9px;padding:0";
          document.querySelector("main img").style.width = "3000px";
        }"""
    )
    found = " ".join(violations(page))
    for sign in ("image-alt", "color-contrast", "wider than the screen", 'id="tiny"'):
        assert sign in found


@pytest.mark.parametrize("language", ["zh-Hans", "zh-Hant"])
@pytest.mark.usefixtures("anyway")
def test_all_pages_fit_a_phone_in_chinese(
    page: Any, world: PortalWorld, ids: dict[str, str], language: str
) -> None:
    """Nothing is cut off in another language, and the page says which one it is in."""
    page.set_viewport_size({"width": 360, "height": 800})
    sign_in(page.context, world, NUMBER)
    for name, path in PAGES.items():
        address = world.url + path.format(**ids)
        joined = "&" if "?" in address else "?"
        page.goto(f"{address}{joined}lang={language}")
        assert page.locator("html").get_attribute("lang") == language, name
        wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide, name


def test_a_keyboard_reaches_everything_in_order(
    page: Any, world: PortalWorld, ids: dict[str, str]
) -> None:
    """The first stop skips the navigation, every stop is seen, and none is a trap."""
    sign_in(page.context, world, NUMBER)
    page.goto(f"{world.url}/portal/consents/{ids['running']}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.outerHTML.slice(0, 80)"))
        if "Withdraw this consent" in page.evaluate("document.activeElement.textContent"):
            break
    assert len(set(stops)) > 5
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_a_receipt_prints_on_paper(page: Any, world: PortalWorld, ids: dict[str, str]) -> None:
    """Navigation and buttons stay off the paper; what was agreed is on it."""
    sign_in(page.context, world, NUMBER)
    page.goto(f"{world.url}/portal/consents/{ids['ended']}/receipt")
    page.emulate_media(media="print")
    assert not page.locator(".nav").is_visible()
    assert page.locator("text=Consent receipt").first.is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert len(page.pdf()) > 5000


def _staff(world: PortalWorld) -> str:
    node = world.node
    with node.database.write() as connection:
        account = people.by_login(connection, DESK, "clerk")
        if account is None:
            account = AccountRow(
                account_id=new_id("stf"),
                realm=DESK,
                login="clerk",
                name="Clerk",
                roles="admin desk privacy_officer",
                language="en",
                user_handle=new_id("h").encode().ljust(32)[:32],
                created_at_ms=now_ms(),
            )
            people.add(connection, account)
        return node.people.sessions.open(connection, account, "passkey", "test", None)
