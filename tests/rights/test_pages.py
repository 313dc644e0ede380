"""The portal's rights and the desk, through the real application."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.http.web.language import LANGUAGES
from consent.rights import Kind, State
from node.rights.steps import Action
from tests.node.scoring_world import ref
from tests.rights.browsing import Pages, once_of, open_pages, text_of
from tests.rights.world import ANNA, BANK, BEN, HOLDER, RightsWorld, open_rights

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} ]]>"
STEP = re.compile(r'href="(/portal/rights/[^"#?]*)')


@pytest.fixture
def there(tmp_path: Path) -> Iterator[RightsWorld]:
    with open_rights(tmp_path) as world:
        yield world


@pytest.fixture
def pages(there: RightsWorld) -> Iterator[Pages]:
    with open_pages(there.world.node) as found:
        yield found


def dispute(pages: Pages, one: bytes, text: str = "No.", **more: str) -> str:
    """Dispute an item through the form; the path of the request."""
    browser = pages.person(ref(one))
    where = f"/portal/rights/dispute?source={HOLDER}&signal=paid_ratio_1m"
    sent = browser.post(
        "/portal/rights/dispute",
        source=HOLDER,
        signal="paid_ratio_1m",
        text=text,
        once=once_of(browser.get(where)),
        **more,
    )
    assert sent.status_code == 303, sent.text
    return sent.headers["location"]


def test_a_person_raises_and_follows_a_dispute(there: RightsWorld, pages: Pages) -> None:
    """From the list of items to the request's page, which says where it stands and until when."""
    one, _ = there.person(1)
    browser = pages.person(ref(one))
    listed = browser.get("/portal/rights/dispute")
    assert "Paid of what was billed, latest month" in text_of(listed)
    page = browser.get(dispute(pages, one, "I paid.", statement="I paid all of it."))
    said = text_of(page)
    assert "With the furnisher" in said
    assert "20 days" in said
    assert "I paid." in said
    assert "Credit Reporting Industry Regulation, art. 25" in said
    assert "in effect since" in said
    assert "Payments" in said
    listed = browser.get("/portal/rights/dispute")
    assert "signal=paid_ratio_1m" not in listed.text


def test_the_same_form_sent_twice_is_one_dispute(there: RightsWorld, pages: Pages) -> None:
    """A reload or a double click makes nothing new."""
    one, _ = there.person(1)
    browser = pages.person(ref(one))
    form = {"source": HOLDER, "signal": "paid_ratio_1m", "text": "No.", "once": "key-1"}
    first = browser.post("/portal/rights/dispute", **form)
    again = browser.post("/portal/rights/dispute", **form)
    assert first.headers["location"] == again.headers["location"]
    assert len(there.bank.person.of_person(one)) == 1


@pytest.mark.parametrize("path", ["", "/statement", "/withdraw"])
def test_anothers_request_is_answered_as_one_that_does_not_exist(
    there: RightsWorld, pages: Pages, path: str
) -> None:
    """The page of somebody else's request differs from that of no request in nothing but ids."""
    one, _ = there.person(1)
    other, _ = there.person(2)
    theirs = dispute(pages, one)
    nobodys = "/portal/rights/requests/rgt_" + "a" * 26
    browser = pages.person(ref(other))
    answers = [
        browser.post(where + path, statement="x") if path else browser.get(where)
        for where in (theirs, nobodys)
    ]
    assert [one.status_code for one in answers] == [404, 404]
    seen = [re.sub(r"req_[0-9a-f]+|rgt_[a-z2-7]{26}", "", one.text) for one in answers]
    assert seen[0] == seen[1]
    assert there.bank.person.of_person(one)[0].state is State.WITH_FURNISHER


def test_text_in_every_field_is_shown_as_text(there: RightsWorld, pages: Pages) -> None:
    """A script in a dispute, a statement, a request, a reason or an outcome is never markup."""
    one, _ = there.person(1)
    browser = pages.person(ref(one))
    staff = pages.staff("anna", "desk", "privacy_officer")
    paths = [dispute(pages, one, XSS, statement=XSS)]
    for name, more in (
        ("correct", {"signal": "credit_limit"}),
        ("object", {"about": ""}),
        ("copy", {}),
        ("delete", {}),
    ):
        sent = browser.post(f"/portal/rights/{name}", text=XSS, once=f"k-{name}", **more)
        assert sent.status_code == 303
        paths.append(sent.headers["location"])
    shown = [browser.get(path) for path in [*paths, "/portal/rights", "/portal/data"]]
    number = {one.kind: one.request_id for one in there.bank.person.of_person(one)}
    desk = f"/desk/requests/{number[Kind.ACCESS]}"
    assert staff.post(f"{desk}/fulfil", text=XSS).status_code == 303
    assert (
        staff.post(
            f"/desk/requests/{number[Kind.CORRECTION]}/propose", text=XSS, value="5"
        ).status_code
        == 303
    )
    shown += [staff.get(f"/desk/requests/{one}") for one in number.values()]
    shown += [
        staff.get("/desk/statements"),
        staff.post("/desk/person", subject=ref(one), reason=XSS),
        browser.get(paths[3]),
    ]
    sent = browser.post("/portal/rights/report", once="r1")
    shown.append(browser.get(sent.headers["location"]))
    for page in shown:
        assert page.status_code == 200, page.text
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "{{ 7*7 }}" not in page.text or "{{ 7*7 }}" in text_of(page)
        assert "script-src 'self'" in page.headers["content-security-policy"]
    assert sum("alert(1)" in text_of(page) for page in shown) >= 8


def test_text_that_is_refused_comes_back_in_the_form(there: RightsWorld, pages: Pages) -> None:
    """Too long or empty: the form again, with what was written and why, and nothing changed."""
    one, _ = there.person(1)
    browser = pages.person(ref(one))
    for text in ("", "x" * 2001, "turn\u202e me"):
        sent = browser.post(
            "/portal/rights/dispute",
            source=HOLDER,
            signal="paid_ratio_1m",
            text=text,
            once="k",
        )
        assert sent.status_code == 400
    sent = browser.post(
        "/portal/rights/dispute",
        source=HOLDER,
        signal="paid_ratio_1m",
        text="fine",
        statement="s" * 201,
        once="k",
    )
    assert sent.status_code == 400
    assert "plain text" in text_of(sent)
    assert there.bank.person.of_person(one) == []


def test_a_freeze_is_one_step_and_lifting_it_another(there: RightsWorld, pages: Pages) -> None:
    """One button each; the page says since when and who has acknowledged."""
    one, _ = there.person(1)
    browser = pages.person(ref(one))
    assert browser.post("/portal/rights/freeze").status_code == 303
    said = text_of(browser.get("/portal/rights"))
    assert "Frozen" in said
    assert "Payments: in effect since" in said
    assert browser.post("/portal/rights/unfreeze").status_code == 303
    assert "Not frozen" in text_of(browser.get("/portal/rights"))


def test_nothing_changes_without_the_forms_token(there: RightsWorld, pages: Pages) -> None:
    """A form of another site, or of another session, is refused, at the portal and at the desk."""
    one, _ = there.person(1)
    browser, staff = pages.person(ref(one)), pages.staff("anna", "desk")
    path = dispute(pages, one)
    number = path.rpartition("/")[2]
    for sent in (
        browser.post("/portal/rights/freeze", csrf="x"),
        browser.post("/portal/rights/delete", csrf="", once="k", text=""),
        browser.post(f"{path}/withdraw", csrf="x"),
        staff.post(f"/desk/requests/{number}/close", csrf="x", text="x"),
        staff.post("/desk/person", csrf="x", subject=ref(one), reason="x"),
    ):
        assert sent.status_code == 403
    assert there.bank.person.frozen(one).since_ms is None
    assert [one.kind for one in there.bank.person.of_person(one)] == [Kind.DISPUTE]


def test_whoever_is_not_signed_in_is_sent_to_sign_in(pages: Pages) -> None:
    """No page of rights or of the desk shows anything without a session."""
    for path in ("/portal/rights", "/portal/rights/dispute", "/desk/", "/desk/person"):
        answer = pages.client.get(path, follow_redirects=False)
        assert answer.status_code == 303
        assert "/sign-in" in answer.headers["location"]


def test_the_desk_is_for_its_roles(there: RightsWorld, pages: Pages) -> None:
    """An administrator or a regulator of no such role sees no request and no person."""
    one, _ = there.person(1)
    number = dispute(pages, one).rpartition("/")[2]
    for roles in (("admin",), ("regulator",), ()):
        staff = pages.staff("-".join(roles) or "none", *roles)
        for path in (f"/desk/requests/{number}", "/desk/person", "/desk/ended"):
            assert staff.get(path).status_code == 403
    assert pages.staff("admin", "admin").get("/desk/").status_code == 403
    assert pages.staff("regulator", "regulator").get("/desk/").headers["location"] == "/regulator/"
    assert pages.staff("anna", "desk").get("/desk/").status_code == 200


def test_the_desk_sorts_by_deadline_and_marks_what_is_late(
    there: RightsWorld, pages: Pages
) -> None:
    """What is due first stands first; overdue is a word and a colour."""
    one, _ = there.person(1)
    dispute(pages, one)
    there.bank.person.delete(one)
    staff = pages.staff("anna", "desk")
    said = text_of(staff.get("/desk/"))
    said = said[said.index("Answer due") :]
    assert said.index("Deletion") < said.index("Dispute: Paid")
    with there.world.node.database.write() as connection:
        from node.storage import rights

        (late,) = rights.open_requests(connection, [Kind.DISPUTE])
        rights.change(connection, late.request_id, due_at_ms=1)
    page = staff.get("/desk/")
    assert '<span class="tag tag-danger">overdue</span>' in page.text
    table = text_of(page)[text_of(page).index("Answer due") :]
    assert table.index("Dispute: Paid") < table.index("Deletion")
    assert "1 overdue" in text_of(page)


def test_the_furnishers_desk_answers_and_the_person_reads_it(
    there: RightsWorld, pages: Pages
) -> None:
    """Round trip through the pages of two institutions: two of the holder's staff correct it."""
    one, terms = there.person(1)
    bank = pages
    path = dispute(bank, one)
    with open_pages(there.world.network.node(HOLDER)) as holder:
        anna, ben = holder.staff("anna", "desk"), holder.staff("ben", "desk")
        (case,) = there.holder.desk.waiting(ANNA)
        where = f"/desk/requests/{case.request_id}"
        assert "Bank-A" in text_of(anna.get("/desk/"))
        assert anna.post(f"{where}/propose", text="It was paid.", value="1.0").status_code == 303
        assert anna.post(f"{where}/approve").status_code == 403
        assert "Agree and correct" not in text_of(anna.get(where))
        assert "Agree and correct" in text_of(ben.get(where))
        assert ben.post(f"{where}/approve").status_code == 303
    person = bank.person(ref(one))
    assert "It was paid." in text_of(person.get(path))
    clerk = bank.staff("carl", "desk")
    number = path.rpartition("/")[2]
    assert clerk.post(f"/desk/requests/{number}/close", text="Corrected.").status_code == 303
    assert "Closed" in text_of(person.get(path))
    assert there.fetch(one, terms)["paid_ratio_1m"] == (1, 1.0)


def test_every_look_of_staff_at_a_person_is_in_the_persons_log(
    there: RightsWorld, pages: Pages
) -> None:
    """Opening a request or a file writes a leaf with who and why (article 22)."""
    one, _ = there.person(1)
    number = dispute(pages, one).rpartition("/")[2]
    staff = pages.staff("anna", "desk")
    before = there.leaves(BANK, one).count("staff.query")
    staff.get(f"/desk/requests/{number}")
    staff.post("/desk/person", subject=ref(one), reason="The person called.")
    staff.get("/desk/")
    assert there.leaves(BANK, one).count("staff.query") - before == 2
    node = there.world.node
    payload = node.audit.payload(node.audit.about(one)[-1])
    assert payload["reason"] == "The person called."
    assert "Carl" not in str(payload)
    assert staff.post("/desk/person", subject=ref(one), reason="").status_code == 400


def test_a_report_is_counted_and_flags_what_is_disputed(there: RightsWorld, pages: Pages) -> None:
    """Two a year; the third says that the price is the institution's to set."""
    one, _ = there.person(1)
    there.bank.dispute(one, BANK, "credit_limit", "No.", statement="It is twice that.")
    browser = pages.person(ref(one))
    for number in (1, 2):
        sent = browser.post("/portal/rights/report", once=f"k{number}")
        page = text_of(browser.get(sent.headers["location"]))
        assert "disputed" in page
        assert "It is twice that." in page
    third = browser.post("/portal/rights/report", once="k3")
    assert third.status_code == 409
    assert "price" in text_of(third)
    assert "price" in text_of(browser.get("/portal/rights/report"))
    assert browser.get("/portal/rights/report/2020/1").status_code == 404


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_every_page_is_there_in_every_language(
    there: RightsWorld, pages: Pages, language: str
) -> None:
    """No page lacks words, whatever the state of what it shows."""
    one, _ = there.person(1)
    path = dispute(pages, one)
    there.bank.person.correct(one, "credit_limit", "No.")
    there.bank.person.delete(one)
    reviewed = there.bank.person.object(one, "Look.")
    there.bank.person.access(one)
    there.bank.freeze(one)
    browser = pages.person(ref(one), language)
    staff = pages.staff("ben", "desk", "privacy_officer")
    kinds = [one.request_id for one in there.bank.person.of_person(one)]
    paths = [
        "/portal/rights",
        path,
        "/portal/rights/dispute",
        f"/portal/rights/dispute?source={BANK}&signal=credit_limit",
        *(f"/portal/rights/{one}" for one in ("correct", "delete", "object", "copy", "report")),
        *(f"/portal/rights/requests/{one}" for one in kinds),
    ]
    for one_path in paths:
        mark = "&" if "?" in one_path else "?"
        page = browser.get(f"{one_path}{mark}lang={language}")
        assert page.status_code == 200, one_path
        assert f'lang="{language}"' in page.text
    there.bank.act(BEN, reviewed.request_id, Action.TAKE)
    for one_path in ["/desk/", "/desk/?kind=dispute", "/desk/ended", "/desk/statements",
                     "/desk/person", *(f"/desk/requests/{one}" for one in kinds)]:  # fmt: skip
        mark = "&" if "?" in one_path else "?"
        page = staff.get(f"{one_path}{mark}lang={language}")
        assert page.status_code == 200, one_path
        assert f'lang="{language}"' in page.text
