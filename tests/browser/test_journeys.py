"""What people do at the portal, in a real browser with a passkey."""

import re
from typing import Any

from tests.browser.conftest import Complaints, sign_in
from tests.browser.passkey import VirtualPasskeys
from tests.browser.portal_world import PortalWorld

JOURNEY = 101


def activated(page: Any, world: PortalWorld, number: int) -> VirtualPasskeys:
    """Open an account with the bank's code and give it a passkey."""
    customer = world.enrol(number)
    passkeys = VirtualPasskeys(page)
    page.goto(f"{world.url}/portal/activate")
    page.fill("#name", customer)
    page.fill("#code", world.activation_code(customer))
    page.click("main button[type=submit]")
    page.wait_for_url("**/portal/enrol")
    page.fill("#label", "Test phone")
    page.click("[data-passkey=enrol] button")
    page.wait_for_url("**/portal/security**")
    assert passkeys.count() == 1
    return passkeys


def grant_by_passkey(page: Any, world: PortalWorld, *purposes: str) -> str:
    """Through both steps; the address of the consent."""
    page.goto(f"{world.url}/portal/consents/new")
    for purpose in purposes:
        page.check(f"#purpose-{purpose}")
    page.check("#recipient-bank-a")
    page.check("#class-payment")
    page.check("#class-credit_account")
    page.click("main form button[type=submit]")
    page.wait_for_url("**/portal/consents/confirm?**")
    page.click("form[data-options] button")
    page.wait_for_url("**/portal/consents/con_*?done=granted")
    return str(page.url).partition("?")[0]


def test_a_person_activates_grants_sees_and_withdraws(page: Any, world: PortalWorld) -> None:
    """The whole way: account, passkey, consent in two steps, withdrawal in one, all confirmed."""
    activated(page, world, JOURNEY)
    address = grant_by_passkey(page, world, "score", "train")
    assert "in effect" in page.locator("[role=status]").inner_text()
    assert "with your passkey" in page.locator("main").inner_text()

    page.goto(f"{world.url}/portal/")
    assert "Harbour Bank" in page.locator("section.card").first.inner_text()
    page.goto(f"{world.url}/portal/consents")
    page.click("section.card form button")
    page.wait_for_url("**/withdrawal")
    for _ in range(40):
        text = page.locator("main").inner_text()
        if "All institutions have acknowledged" in text:
            break
        page.wait_for_timeout(250)
        page.reload()
    assert "All institutions have acknowledged" in text
    assert text.count("in effect there since") == 1  # the one that is asked, besides the bank
    assert "You are in no later round of training" in text
    page.goto(address)
    assert page.locator("text=Withdraw this consent").count() == 0
    page.goto(f"{world.url}/portal/consents?show=ended")
    assert page.locator("section.card").count() == 1


def test_a_person_signs_in_again_with_the_passkey(page: Any, world: PortalWorld) -> None:
    """Signing out ends it; the passkey alone lets the person in again."""
    activated(page, world, JOURNEY + 1)
    page.click("header button")
    page.wait_for_url("**/portal/sign-in**")
    page.goto(f"{world.url}/portal/consents")
    page.wait_for_url("**/portal/sign-in?next=**")
    page.click("[data-passkey] button")
    page.wait_for_url("**/portal/consents")


def test_who_does_not_show_who_they_are_grants_nothing(page: Any, world: PortalWorld) -> None:
    """A passkey whose owner does not agree signs nothing, and the page says so."""
    passkeys = activated(page, world, JOURNEY + 2)
    passkeys.agree(yes=False)
    page.goto(
        f"{world.url}/portal/consents/confirm?purpose=score&recipient=bank-a&class=payment&days=30"
    )
    page.click("form[data-options] button")
    page.wait_for_selector("text=Nothing was granted")
    page.goto(f"{world.url}/portal/consents")
    assert page.locator("section.card").count() == 0


def test_a_paused_consent_is_resumed_by_the_passkey_that_granted_it(
    page: Any, world: PortalWorld
) -> None:
    """Stopping takes the session; taking up again takes the key."""
    activated(page, world, JOURNEY + 3)
    grant_by_passkey(page, world, "score")
    page.click("text=Pause")
    page.wait_for_url("**?done=paused")
    page.click("text=Resume with my passkey")
    page.wait_for_url("**?done=resumed")
    assert "In effect" in page.locator("main .tag").first.inner_text()


def test_what_is_missing_is_named_and_nothing_was_ticked(
    page: Any, world: PortalWorld, complaints: Complaints
) -> None:
    """A consent is never granted by not looking: all boxes are empty, and are asked for."""
    complaints.allow("422")
    world.enrol(JOURNEY + 4)
    sign_in(page.context, world, JOURNEY + 4)
    page.goto(f"{world.url}/portal/consents/new")
    assert page.locator("input[type=checkbox]:checked").count() == 0
    page.check("#purpose-score")
    with page.expect_response("**/confirm?**") as answered:
        page.click("main form button[type=submit]")
    assert answered.value.status == 422
    alert = page.locator("[role=alert]").inner_text()
    assert "Tick at least one institution" in alert
    assert "Tick at least one kind of data" in alert
    assert "Tick at least one purpose" not in alert
    assert page.is_checked("#purpose-score")


def test_restricted_data_has_its_notice_beside_it_and_in_what_is_signed(
    page: Any, world: PortalWorld
) -> None:
    """Nobody shares tax figures without having read what they may lead to."""
    world.enrol(JOURNEY + 5)
    sign_in(page.context, world, JOURNEY + 5)
    page.goto(f"{world.url}/portal/consents/new")
    beside = page.locator(".choice", has=page.locator("#class-tax")).inner_text()
    assert "may lower your score" in beside
    page.check("#purpose-score")
    page.check("#recipient-bank-a")
    page.check("#class-tax")
    page.click("main form button[type=submit]")
    assert "may lower your score" in page.locator(".notice-warn").inner_text()


def test_a_person_disputes_a_figure(page: Any, world: PortalWorld) -> None:
    """From my rights to the request with its deadline."""
    world.enrol(JOURNEY + 6)
    sign_in(page.context, world, JOURNEY + 6)
    page.goto(f"{world.url}/portal/rights")
    page.click("main a:has-text('ispute')")
    page.wait_for_load_state()
    page.locator("main a[href*='dispute'], main button").first.click()
    page.wait_for_load_state()
    page.fill("textarea", "This was paid in time; I have the receipt.")
    page.locator("main form button[type=submit]").last.click()
    page.wait_for_url(re.compile(r"/portal/rights/(requests/)?rgt_"))
    assert "dispute" in page.locator("main").inner_text().lower()


def test_everything_but_passkeys_works_without_scripts(chromium: Any, world: PortalWorld) -> None:
    """Who has no JavaScript grants with their account, sees it, withdraws, and takes the proof."""
    number = JOURNEY + 7
    world.enrol(number)
    context = chromium.new_context(java_script_enabled=False, locale="en-US")
    try:
        sign_in(context, world, number)
        page = context.new_page()
        page.goto(f"{world.url}/portal/consents/new")
        page.check("#purpose-score")
        page.check("#recipient-bank-a")
        page.check("#class-payment")
        page.click("main form button[type=submit]")
        assert page.locator("form[data-options]").count() == 0
        page.click("text=Confirm with my account")
        page.wait_for_url("**?done=granted")
        assert "confirmed in your account" in page.locator("main").inner_text()
        page.click("text=Withdraw this consent")
        page.wait_for_url("**/withdrawal")
        page.goto(f"{world.url}/portal/access?show=all")
        with page.expect_download() as taken:
            page.locator("main a[href$='proof.json']").first.click()
        assert taken.value.suggested_filename.startswith("entry-")
        assert "UTC" in page.locator("time").first.inner_text()
    finally:
        context.close()
