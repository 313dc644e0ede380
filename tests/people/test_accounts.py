"""Activation codes, recovery, factors, and what the log says of it all."""

import re
import sqlite3

import pytest

from node.people.codes import read_code
from node.storage.subjects import UnknownSubject
from tests.people.world import PASSWORD, World


def test_a_code_opens_an_account_once(world: World) -> None:
    """Whoever finds the letter later finds nothing."""
    code = world.code_for()
    assert world.visitor().activate("A-0001", code).is_redirect
    assert world.visitor().activate("A-0001", code).status_code == 422


def test_every_wrong_activation_has_one_and_the_same_answer(world: World) -> None:
    """Nobody learns who is a customer, who has a code, nor that a code has ended."""
    visitor = world.visitor()
    world.code_for("A-0002")
    code = world.code_for("A-0001")
    late = world.code_for("A-0003")
    world.later(minutes=7 * 24 * 60)
    fresh = world.code_for("A-0002")
    cases = {"A-0001": code, "A-0002": "0000-0000", "A-0003": late, "Z-9999": fresh}
    pages = {
        visitor.activate(customer, given).text.replace(customer, "NAME")
        for customer, given in cases.items()
    }
    assert len(pages) == 1
    assert visitor.activate("A-0002", fresh).is_redirect


def test_a_code_of_one_person_does_not_open_anothers_account(world: World) -> None:
    """A code is bound to whom it was issued for."""
    code = world.code_for("A-0002")
    assert world.visitor().activate("A-0001", code).status_code == 422
    assert world.visitor().activate("A-0002", code).is_redirect


def test_a_code_is_typed_as_people_type(world: World) -> None:
    """Case, blanks, hyphens and letters that look like digits do not matter."""
    code = world.code_for()
    typed = f" {code.lower().replace('-', ' ').replace('0', 'O').replace('1', 'i')} "
    assert world.visitor().activate("A-0001", typed).is_redirect


def test_a_code_ends_after_five_tries_wherever_they_come_from(world: World) -> None:
    """Forty bits and five tries: guessing is hopeless, and the code is spent."""
    code = world.code_for()
    for number in range(5):
        assert (
            world.visitor(f"203.0.113.{number}").activate("A-0001", "0000-0000").status_code == 422
        )
    world.later(minutes=16)  # the limit by name has passed, the code's own tries have not
    assert world.visitor().activate("A-0001", code).status_code == 422
    assert world.visitor().activate("A-0001", world.code_for()).is_redirect


def test_a_new_code_replaces_the_one_before(world: World) -> None:
    """A letter that went astray is worth nothing when another is sent."""
    old, new = world.code_for(), world.code_for()
    assert world.visitor().activate("A-0001", old).status_code == 422
    assert world.visitor().activate("A-0001", new).is_redirect


def test_a_code_for_nobody_is_not_issued(world: World) -> None:
    """The institution's clerk is told, unlike a stranger."""
    with pytest.raises(UnknownSubject):
        world.people.accounts.issue_for_customer("Z-9999")


def test_recovery_takes_away_what_was_lost(world: World) -> None:
    """A code for somebody who lost a device ends its sessions, passkeys, password and codes."""
    lost = world.with_password()
    lost.add_passkey()
    assert lost.signed_in()
    owner = world.visitor("192.0.2.50")
    assert owner.activate("A-0001", world.code_for()).is_redirect
    assert not lost.signed_in()
    thief = world.visitor("203.0.113.7")
    thief.seed = lost.seed
    assert thief.sign_in().status_code == 422
    assert thief.sign_in(code=lost.codes[0]).status_code == 422
    assert lost.key is not None
    assert thief.sign_in_with_passkey(lost.key).status_code == 401
    owner.set_password("another fine long phrase")
    assert owner.signed_in()
    assert "account.recovered" in world.kinds()


def test_a_session_of_an_activation_opens_nothing_but_the_ways_to_sign_in(world: World) -> None:
    """Until a way to sign in is added, the code's session cannot read or change anything."""
    visitor = world.visitor()
    visitor.activate("A-0001", world.code_for())
    for page in ("/portal/home", "/portal/security", "/portal/confirm"):
        assert visitor.http.get(page).status_code == 303
    csrf = visitor.csrf("/portal/enrol")
    answer = visitor.http.post("/portal/withdraw", data={"csrf": csrf})
    assert answer.headers["location"] == "/portal/enrol"
    world.later(minutes=30)
    assert visitor.http.get("/portal/enrol").headers["location"] == "/portal/sign-in"


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("tiny word", "too short"),
        ("password12345", "first that are guessed"),
        ("P@ssw0rd!2026", "first that are guessed"),
        ("harbourbank2026", "first that are guessed"),
        ("qwertyuiop123456", "first that are guessed"),
        ("abcabcabcabcabc", "first that are guessed"),
        ("A-0001A-0001A-0001", "first that are guessed"),
        ("x" * 200, "too long"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(world: World, password: str, word: str) -> None:
    """Length and commonness; no rules about kinds of characters."""
    visitor = world.visitor()
    visitor.activate("A-0001", world.code_for())
    answer = visitor.set_password(password)
    assert answer.status_code == 422
    assert word in answer.text
    assert password not in answer.text


def test_two_different_passwords_or_a_wrong_first_code_store_nothing(world: World) -> None:
    """The app has to work before it counts; the same seed is shown again."""
    visitor = world.visitor()
    visitor.activate("A-0001", world.code_for())
    page = visitor.http.get("/portal/enrol/password").text
    ticket, csrf = (re.search(rf'name="{n}" value="([^"]*)"', page)[1] for n in ("ticket", "csrf"))
    fields = {"csrf": csrf, "ticket": ticket, "password": PASSWORD, "repeated": PASSWORD}
    wrong = visitor.http.post("/portal/enrol/password", data={**fields, "code": "000000"})
    assert "not the one the app should show" in wrong.text
    assert ticket in wrong.text
    other = visitor.http.post(
        "/portal/enrol/password", data={**fields, "repeated": PASSWORD + "x", "code": "000000"}
    )
    assert "The two passwords differ" in other.text
    assert world.visitor().sign_in(code="000000").status_code == 422


def test_the_seed_of_another_session_is_refused(world: World) -> None:
    """Nobody gets a victim to connect an app that the attacker also has."""
    attacker, victim = world.with_password("A-0002"), world.with_password("A-0001", "192.0.2.9")
    page = attacker.http.get("/portal/enrol/password").text
    ticket = re.search(r'name="ticket" value="([^"]*)"', page)[1]
    answer = victim.send("/portal/enrol/password", ticket=ticket, password=PASSWORD,
                         repeated=PASSWORD, code="000000")  # fmt: skip
    assert answer.status_code == 401
    assert "ticket_refused" in answer.text


def test_a_changed_password_ends_the_other_sessions(world: World) -> None:
    """Whoever had the old one is out."""
    visitor = world.with_password()
    other = world.visitor()
    other.seed = visitor.seed
    other.sign_in()
    assert other.signed_in()
    visitor.set_password("another fine long phrase")
    assert visitor.signed_in()
    assert not other.signed_in()
    assert other.sign_in().status_code == 422


def test_new_recovery_codes_replace_the_old(world: World) -> None:
    """Ten new ones, shown once; the old ones open nothing."""
    visitor = world.with_password()
    answer = visitor.send("/portal/security", "/portal/security/recovery-codes")
    new = re.findall(r"<code class=\"mono\">([0-9A-Z-]{19})</code>", answer.text)
    assert len(new) == 10
    assert not set(new) & set(visitor.codes)
    assert world.visitor().sign_in(code=visitor.codes[0]).status_code == 422
    assert world.visitor().sign_in(code=new[0]).status_code == 303


def test_taking_the_password_away_leaves_the_passkey(world: World) -> None:
    """And the recovery codes go with it."""
    visitor = world.with_password()
    visitor.add_passkey()
    assert visitor.send("/portal/security", "/portal/security/password/remove").is_redirect
    assert world.visitor().sign_in(code=visitor.codes[0]).status_code == 422
    assert visitor.key is not None
    assert world.visitor().sign_in_with_passkey(visitor.key).status_code == 200


def test_every_step_is_in_the_log(world: World) -> None:
    """Issued, activated, factors, sign-ins and failures: a leaf each, in order."""
    visitor = world.with_password()
    visitor.add_passkey()
    world.visitor().sign_in(password="no", code="1")
    assert visitor.key is not None
    world.visitor().sign_in_with_passkey(visitor.key)
    visitor.send("/portal/security", "/portal/security/sessions/end-all")
    assert world.kinds() == [
        "activation.issued",
        "account.activated",
        "factor.added",
        "factor.added",
        "sign_in.refused",
        "sign_in.succeeded",
        "session.ended",
    ]


def test_leaves_say_nothing_of_the_person(world: World) -> None:
    """The log's public part names no account, address or number, and two people's look alike."""
    for customer in ("A-0001", "A-0002"):
        visitor = world.with_password(customer)
        world.visitor("198.51.100.7").sign_in(customer, "no", "1")
        seed = visitor.seed
        again = world.visitor()
        again.seed = seed
        again.sign_in(customer)
    leaves = world.leaves()
    half = len(leaves) // 2

    def public(leaf) -> tuple[str, ...]:
        return tuple(leaf[name] for name in ("kind", "actor", "purpose", "correlation"))

    assert [public(one) for one in leaves[:half]] == [public(one) for one in leaves[half:]]
    assert {one["actor"] for one in leaves} == {"operator", "subject", "portal"}
    text = str(leaves)
    for secret in ("A-0001", "acc_", "sub_", "198.51.100.7"):
        assert secret not in text


def test_a_persons_leaves_are_found_by_their_pseudonym(world: World) -> None:
    """One may read later where and how one's account was opened, failures too."""
    world.with_password()
    world.visitor().sign_in(password="no", code="1")
    seqs = world.node.audit.about(bytes([1]) * 32)
    payloads = [world.node.audit.payload(seq) for seq in seqs]
    assert [one.get("method") or one.get("factor") for one in payloads] == [
        None,
        None,
        "password_totp",
        "password",
    ]
    assert world.node.audit.about(bytes([2]) * 32) == []


def test_the_database_holds_no_code_seed_password_or_name(world: World) -> None:
    """A copy of the database opens no account and does not say who tried."""
    visitor = world.with_password()
    unused = world.code_for("A-0002")
    world.visitor("198.51.100.7").sign_in("Q-4711", "no", "1")
    database = world.node.home / "node.db"
    rows = []
    with sqlite3.connect(database) as connection:
        for table in ("account", "passkey", "recovery_code", "activation", "web_session",
                      "sign_in_attempt", "spent_challenge"):  # fmt: skip
            rows += connection.execute(f"SELECT * FROM {table}").fetchall()
    connection.close()
    stored = repr(rows)
    for secret in (
        visitor.seed, PASSWORD, unused, read_code(unused), visitor.codes[0],
        read_code(visitor.codes[0]), "A-0001", "Q-4711", "198.51.100.7", visitor.token() or "",
    ):  # fmt: skip
        assert secret not in stored
    assert "$argon2id$" in stored


def test_a_leaf_that_cannot_be_written_stops_the_sign_in(world: World) -> None:
    """No session without its leaf: both commit together or neither."""
    seed = world.with_password().seed
    visitor = world.visitor()
    visitor.seed = seed
    csrf = visitor.csrf("/portal/sign-in")
    world.later(s=30)
    code = visitor.code()
    with world.node.database.write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON audit_leaf BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    assert visitor.sign_in(code=code, csrf=csrf).status_code == 500
    assert visitor.token() is None
    with world.node.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER full")
    assert visitor.sign_in(code=code, csrf=csrf).status_code == 303


NASTY = '"><script>alert(1)</script><img src=x>{{37037037*3}}'


def test_what_somebody_types_comes_back_as_text(world: World) -> None:
    """Reflected XSS: name, code, next and password of every form, in each answer."""
    visitor = world.with_password()
    stranger = world.visitor()
    nasty = NASTY
    answers = [
        stranger.sign_in(nasty, nasty, nasty[:20], next=nasty),
        stranger.activate(nasty, nasty[:20]),
        stranger.http.get("/portal/sign-in", params={"next": nasty, "lang": nasty}),
        visitor.send("/portal/confirm", password=nasty, code=nasty[:20], next=nasty),
        visitor.set_password(nasty),
        stranger.http.get(f"/portal/{nasty}"),
        visitor.send("/portal/security", "/portal/security/sessions/end", session=nasty[:40]),
        visitor.send("/portal/security", "/portal/security/passkeys/remove", passkey=nasty),
    ]
    for answer in answers:
        for mark in ("<script>alert", "<img src=x", "111111111"):
            assert mark not in answer.text


def test_what_somebody_stores_comes_back_as_text(world: World) -> None:
    """Stored XSS: the label of a passkey, the name of a browser, the name of a colleague."""
    visitor = world.with_password()
    visitor.http.headers["User-Agent"] = "Firefox/1 <script>alert(1)</script>"
    assert visitor.add_passkey(NASTY).status_code == 200
    page = visitor.http.get("/portal/security").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert visitor.add_passkey("a" * 61).status_code == 400
    assert visitor.add_passkey("line\nbreak").status_code == 400
