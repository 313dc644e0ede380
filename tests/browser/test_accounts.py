"""Passwords, codes and recovery in a real browser, with scripts and without."""

from typing import Any

import pytest

from protocols import totp
from tests.browser.conftest import Complaints
from tests.browser.portal_world import PortalWorld
from tests.browser.test_accessible import violations
from tests.network import now_ms, person
from tests.node.scoring_world import ref

NUMBER = 880
PASSWORD = "tide mango copper nine"


def open_account(page: Any, world: PortalWorld, number: int) -> str:
    """Open an account with the bank's code and set a password; the app's seed."""
    world.enrol(number)
    customer = customer_of(world, number)
    issued = world.node.people.accounts.issue_for_customer(customer)
    page.goto(f"{world.url}/portal/activate")
    page.fill("#name", customer)
    page.fill("#code", issued.code)
    page.click("main button[type=submit]")
    page.wait_for_url("**/portal/enrol")
    page.click("a[href='/portal/enrol/password']")
    seed: str = page.locator("main code").inner_text().replace(" ", "")
    page.fill("#password", PASSWORD)
    page.fill("#repeated", PASSWORD)
    page.fill("#code", totp.code_at(seed, totp.step_at(now_ms())))
    page.click("main button[type=submit]")
    assert page.locator(".codes li").count() == 10
    return seed


def customer_of(world: PortalWorld, number: int) -> str:
    from node.storage import subjects

    with world.node.database.read() as connection:
        return subjects.by_pseudonym(connection, person(number)).customer_id


@pytest.mark.parametrize("scripts", [True, False])
def test_password_and_code_work_with_and_without_scripts(
    chromium: Any, world: PortalWorld, scripts: bool
) -> None:
    """Open the account, sign out, sign in again: nothing of it needs JavaScript."""
    context = chromium.new_context(java_script_enabled=scripts)
    context.set_default_timeout(10_000)
    page = context.new_page()
    number = NUMBER + scripts
    seed = open_account(page, world, number)
    page.click("main a.button")
    page.wait_for_url("**/portal/security")
    page.click("header button")
    page.wait_for_url("**/portal/sign-in")
    page.fill("#name", customer_of(world, number))
    page.fill("#password", PASSWORD)
    page.fill("#code", totp.code_at(seed, totp.step_at(now_ms()) + 1))
    page.click("main form button[type=submit]")
    page.wait_for_url("**/portal/")
    assert ref(person(number)) not in page.content()
    context.close()


def test_the_qr_code_is_drawn_and_says_what_the_app_needs(page: Any, world: PortalWorld) -> None:
    """The picture has a size and dark parts under the page's own policy."""
    open_account(page, world, NUMBER + 2)
    page.goto(f"{world.url}/portal/enrol/password")
    box = page.locator(".qr-frame svg").bounding_box()
    assert box is not None
    assert 120 < box["width"] < 400
    assert box["width"] == box["height"]


@pytest.mark.parametrize("width", [360, 1280])
def test_the_pages_of_an_account_are_for_everybody(
    page: Any, world: PortalWorld, complaints: Complaints, width: int
) -> None:
    """axe-core finds nothing on the pages that only an account's owner sees."""
    complaints.allow("422")
    page.set_viewport_size({"width": width, "height": 800})
    open_account(page, world, NUMBER + 3 + (width > 400))
    wrong = {"codes": violations(page)}
    for name in ("enrol", "enrol/password", "confirm", "security"):
        page.goto(f"{world.url}/portal/{name}")
        wrong[name] = violations(page)
    page.goto(f"{world.url}/portal/enrol/password")
    page.fill("#password", "password12345")
    page.fill("#repeated", "password12345")
    page.fill("#code", "000000")
    page.click("main button[type=submit]")
    wrong["refused"] = violations(page)
    assert {name: found for name, found in wrong.items() if found} == {}
