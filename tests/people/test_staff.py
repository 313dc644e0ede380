"""The institution's staff: accounts, roles, and the wall to the portal."""

import re

import pytest

from node.people.staff import StaffExists, StaffUnknown
from protocols.errors import InvalidInput
from tests.people.world import Visitor, World


def test_staff_activate_add_a_way_in_and_work_within_their_roles(world: World) -> None:
    """A colleague with the role sees the page, one without is told what is missing."""
    officer, clerk = member(world, "mei", "privacy_officer"), member(world, "tom", "desk")
    assert officer.http.get("/desk/reviews").json() == {"name": "Mei"}
    answer = clerk.http.get("/desk/reviews")
    assert answer.status_code == 403
    assert "role_missing" in answer.text
    assert world.visitor().http.get("/desk/reviews").headers["location"] == (
        "/desk/sign-in?next=%2Fdesk%2Freviews"
    )


def test_staff_sign_in_with_password_or_passkey(world: World) -> None:
    """The same ways as for people, under their own address."""
    first = member(world, "mei", "desk")
    first.add_passkey(face="desk")
    visitor = world.visitor()
    visitor.seed = first.seed
    assert visitor.sign_in("MEI", face="desk").headers["location"] == "/desk/"
    assert visitor.signed_in("desk")
    assert first.key is not None
    other = world.visitor()
    assert other.sign_in_with_passkey(first.key, "desk").json() == {"next": "/desk/"}
    assert world.kinds()[-2:] == ["sign_in.succeeded"] * 2
    staff_id = world.people.staff.every()[0].account_id
    assert world.leaves()[-1]["actor"] == staff_id


def test_a_session_of_one_realm_is_none_in_the_other(world: World) -> None:
    """A person's cookie opens no desk, nor a colleague's the portal, under either name."""
    person, staff = world.with_password(), member(world, "mei", "admin")
    for token, cookie, page in (
        (person.token(), "credence-desk", "/desk/security"),
        (staff.token("desk"), "credence", "/portal/security"),
    ):
        thief = world.visitor(Cookie=f"{cookie}={token}")
        assert thief.http.get(page).status_code == 303
    assert not person.signed_in("desk")
    assert not staff.signed_in("portal")


def test_a_customer_number_is_no_sign_in_name_and_the_other_way_round(world: World) -> None:
    """One realm's names and codes mean nothing in the other."""
    code = world.code_for()
    assert world.visitor().activate("A-0001", code, "desk").status_code == 422
    _, issued = world.people.staff.add("mei", "Mei", ["desk"])
    assert world.visitor().activate("mei", issued.code).status_code == 422
    assert world.visitor().activate("mei", issued.code, "desk").is_redirect


def test_a_role_that_was_taken_away_is_gone_at_the_next_request(world: World) -> None:
    """No waiting for a session to end."""
    officer = member(world, "mei", "privacy_officer")
    world.people.staff.set_roles("mei", ["regulator"])
    assert officer.http.get("/desk/reviews").status_code == 403


def test_a_closed_account_is_out_at_the_next_request(world: World) -> None:
    """Somebody who left the institution is out, and no code brings them back."""
    officer = member(world, "mei", "privacy_officer")
    world.people.staff.close("mei")
    assert officer.http.get("/desk/reviews").status_code == 303
    assert officer.sign_in("mei", face="desk").status_code == 422
    with pytest.raises(StaffUnknown):
        world.people.staff.new_code("mei")
    with pytest.raises(StaffExists):
        world.people.staff.add("mei", "Another", ["desk"])


def test_a_new_code_ends_the_sessions_and_then_the_factors(world: World) -> None:
    """For a colleague who lost the phone."""
    officer = member(world, "mei", "desk")
    issued = world.people.staff.new_code("mei")
    assert not officer.signed_in("desk")
    again = world.visitor()
    assert again.activate("mei", issued.code, "desk").is_redirect
    assert officer.sign_in("mei", face="desk").status_code == 422


def test_sessions_at_the_desk_are_short(world: World) -> None:
    """A quarter of an hour without use, eight hours in all."""
    officer = member(world, "mei", "desk")
    world.later(minutes=16)
    assert not officer.signed_in("desk")


@pytest.mark.parametrize(
    ("login", "name", "roles"),
    [
        ("", "Mei", ["desk"]), ("Mei", "Mei", ["desk"]), ("m" * 41, "Mei", ["desk"]),
        ("mei", "", ["desk"]), ("mei", "a\nb", ["desk"]), ("mei", "n" * 121, ["desk"]),
        ("mei", "Mei", []), ("mei", "Mei", ["root"]), ("mei", "Mei", ["desk", ""]),
    ],
)  # fmt: skip
def test_what_is_no_name_or_role_is_refused(
    world: World, login: str, name: str, roles: list[str]
) -> None:
    """Names are in their alphabet and roles are of the list."""
    with pytest.raises(InvalidInput):
        world.people.staff.add(login, name, roles)
    assert world.people.staff.every() == []


def test_a_name_of_staff_is_text(world: World) -> None:
    """Stored XSS: a colleague's name."""
    _, issued = world.people.staff.add("eve", "<script>alert(1)</script>", ["privacy_officer"])
    visitor = world.visitor()
    visitor.activate("eve", issued.code, "desk")
    visitor.set_password(face="desk")
    page = visitor.http.get("/desk/security").text
    assert "<script>alert" not in page


def test_changes_of_staff_are_in_the_log(world: World) -> None:
    """Who was given what, by the operator."""
    world.people.staff.add("mei", "Mei", ["desk"])
    world.people.staff.set_roles("mei", ["admin", "desk"])
    world.people.staff.close("mei")
    assert world.kinds() == [
        "staff.added",
        "activation.issued",
        "staff.roles_changed",
        "account.closed",
    ]
    assert world.node.audit.payload(2)["roles"] == "admin desk"
    assert "mei" not in str(world.leaves())


def member(world: World, login: str, *roles: str) -> Visitor:
    """A browser of a new member of staff who has set a password."""
    _, issued = world.people.staff.add(login, login.title(), roles)
    visitor = world.visitor(f"192.0.2.{len(login) + ord(login[0])}")
    assert visitor.activate(login, issued.code, "desk").is_redirect
    assert re.search("recovery codes", visitor.set_password(face="desk").text)
    return visitor
