"""Sessions: planted ones, forged requests, their ends, and freshness."""

import httpx
import pytest

from node.people.sessions import csrf_token
from node.storage import web_sessions
from protocols.canonical import b64url_decode, sha256
from tests.people.world import ORIGIN, Visitor, World, field_of, make_home, open_world


def test_a_session_that_somebody_planted_opens_nothing_after_the_sign_in(world: World) -> None:
    """Session fixation: who signs in gets another token, and the planted one ends."""
    attacker = world.with_password("A-0002")
    planted = attacker.token()
    seed = world.with_password("A-0001", "192.0.2.9").seed
    victim = world.visitor()
    victim.seed = seed
    assert planted is not None
    victim.http.cookies.set("credence", planted)
    world.later(s=30)
    csrf = field_of(victim.http.get("/portal/activate").text, "csrf")
    assert victim.sign_in("A-0001", code=victim.code(), csrf=csrf).status_code == 303
    assert victim.http.get("/portal/home").json() == {"subject_ref": f"sub_{1:026d}"}
    assert victim.http.cookies.get("credence", domain="localhost.local") != planted
    assert attacker.http.get("/portal/home").status_code == 303


def test_a_token_of_ones_own_invention_opens_nothing(world: World) -> None:
    """Only tokens that this node gave out are sessions."""
    for token in ("", "x", "A" * 43, "A" * 500, "../../etc", "%00"):
        visitor = world.visitor(Cookie=f"credence={token}")
        assert visitor.http.get("/portal/home").status_code == 303


def test_the_token_before_sign_in_is_no_session_and_changes_with_it(world: World) -> None:
    """The cookie of the sign-in form goes when a session comes."""
    visitor = world.visitor()
    visitor.http.get("/portal/sign-in")
    before = visitor.http.cookies.get("credence-before")
    assert before is not None
    assert world.visitor(Cookie=f"credence={before}").http.get("/portal/home").status_code == 303
    visitor.activate("A-0001", world.code_for())
    assert visitor.http.cookies.get("credence-before") is None


def test_the_database_holds_no_token(world: World) -> None:
    """A copy of the database opens no session."""
    visitor = world.with_password()
    raw = b64url_decode(visitor.token() or "")
    with world.node.database.read() as connection:
        assert web_sessions.find(connection, sha256(raw)) is not None
        assert web_sessions.find(connection, raw) is None
    stored = (world.node.home / "node.db").read_bytes()
    stored += (world.node.home / "node.db-wal").read_bytes()
    assert raw not in stored
    assert (visitor.token() or "").encode() not in stored


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(world: World, tmp_path) -> None:
    """HttpOnly, SameSite, no domain; over HTTPS also Secure with the __Host- prefix."""
    answer = world.visitor().http.get("/portal/sign-in")
    for part in ("credence-before=", "HttpOnly", "SameSite=lax", "Path=/"):
        assert part in answer.headers["set-cookie"]
    assert "Domain" not in answer.headers["set-cookie"]
    make_home(tmp_path / "https", public_url="https://my.bank.example")
    with open_world(tmp_path / "https") as public:
        visitor = public.with_password()
        assert visitor.token() == visitor.http.cookies["__Host-credence"]
        answer = visitor.http.get("/desk/sign-in")
        assert "__Host-credence-desk-before=" in answer.headers["set-cookie"]
        assert "Secure" in answer.headers["set-cookie"]
        assert (
            "SameSite=strict" not in answer.headers["set-cookie"]
        )  # before sign-in: links lead here


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": ORIGIN},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ORIGIN + ".evil.example"},
        {},
    ],
)
def test_a_form_from_elsewhere_is_refused_even_with_the_right_token(
    world: World, headers: dict[str, str]
) -> None:
    """CSRF: the browser says where a form came from, and elsewhere is refused."""
    visitor = world.with_password()
    csrf = visitor.csrf("/portal/security")
    for name in ("Sec-Fetch-Site", "Origin"):
        del visitor.http.headers[name]
    answer = visitor.http.post("/portal/withdraw", data={"csrf": csrf}, headers=headers)
    assert answer.status_code == 403
    assert "request_not_ours" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ORIGIN},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    ],
)
def test_a_form_of_ours_passes_from_browsers_that_say_one_or_the_other(
    world: World, headers: dict[str, str]
) -> None:
    """Older browsers send an Origin alone; a page without a referrer sends `null`."""
    visitor = world.with_password()
    csrf = visitor.csrf("/portal/security")
    for name in ("Sec-Fetch-Site", "Origin"):
        del visitor.http.headers[name]
    answer = visitor.http.post("/portal/withdraw", data={"csrf": csrf}, headers=headers)
    assert answer.json() == {"withdrawn": "yes"}


@pytest.mark.parametrize("csrf", ["", "x", "A" * 43, "\u00e9" * 43])
def test_a_form_without_the_sessions_token_is_refused(world: World, csrf: str) -> None:
    """CSRF: a form carries the token of its session."""
    visitor = world.with_password()
    assert visitor.http.post("/portal/withdraw", data={"csrf": csrf}).status_code == 403


def test_the_token_of_another_persons_form_is_refused(world: World) -> None:
    """CSRF: an attacker's own token does not fit the victim's session."""
    attacker, victim = world.with_password("A-0002"), world.with_password("A-0001", "192.0.2.9")
    csrf = attacker.csrf("/portal/security")
    assert victim.http.post("/portal/withdraw", data={"csrf": csrf}).status_code == 403


def test_the_sign_in_form_is_bound_to_its_browser_too(world: World) -> None:
    """Login CSRF: nobody is signed in to an attacker's account by a form they did not open."""
    attacker = world.with_password("A-0002")
    other = world.visitor()
    csrf = other.csrf("/portal/sign-in")
    victim = world.visitor()
    victim.http.get("/portal/sign-in")
    victim.seed = attacker.seed
    assert victim.sign_in("A-0002", csrf=csrf).status_code == 403
    fresh = world.visitor()
    assert fresh.http.post("/portal/sign-in", data={"csrf": csrf}).status_code == 403


def test_every_change_refuses_a_form_without_its_token(world: World) -> None:
    """CSRF: no form of the account pages is left out."""
    visitor = world.with_password()
    visitor.add_passkey()
    for path in (
        "/portal/sign-out", "/portal/confirm", "/portal/enrol/password",
        "/portal/security/passkeys/remove", "/portal/security/password/remove",
        "/portal/security/recovery-codes", "/portal/security/sessions/end",
        "/portal/security/sessions/end-all", "/portal/sign-in", "/portal/activate",
    ):  # fmt: skip
        assert visitor.http.post(path, data={"csrf": "x"}).status_code == 403, path
    for path in (
        "/portal/sign-in/passkey/options", "/portal/sign-in/passkey",
        "/portal/confirm/passkey/options", "/portal/confirm/passkey",
        "/portal/enrol/passkey/options", "/portal/enrol/passkey",
    ):  # fmt: skip
        assert visitor.call(path, "x").status_code == 403, path
    assert visitor.signed_in()


def test_a_session_ends_when_it_is_not_used(world: World) -> None:
    """An open browser that nobody uses closes after half an hour."""
    visitor = world.with_password()
    world.later(minutes=29)
    assert visitor.signed_in()
    world.later(minutes=29)
    assert visitor.signed_in()
    world.later(minutes=31)
    assert not visitor.signed_in()


def test_a_session_ends_after_twelve_hours_whatever_happens(world: World) -> None:
    """Use does not keep a session for ever."""
    visitor = world.with_password()
    for _ in range(12 * 4 - 1):
        world.later(minutes=15)
        assert visitor.signed_in()
    world.later(minutes=15)
    assert not visitor.signed_in()


def test_what_is_hard_to_undo_asks_again_who_one_is(world: World) -> None:
    """After ten minutes a session is not fresh; password and code make it fresh again."""
    visitor = world.with_password()
    world.later(minutes=11)
    csrf = visitor.csrf("/portal/security")
    answer = visitor.http.post("/portal/withdraw", data={"csrf": csrf})
    assert answer.headers["location"] == "/portal/confirm?next=%2Fportal%2Fhome"
    for path in ("/portal/enrol", "/portal/enrol/password"):
        assert visitor.http.get(path).headers["location"].startswith("/portal/confirm")
    before = visitor.token()
    page = answer.headers["location"]
    wrong = visitor.send(page, "/portal/confirm", password="no", code=visitor.code())
    assert wrong.status_code == 422
    right = visitor.send(
        page, "/portal/confirm", password="tide mango copper nine", code=visitor.code(),
        next="/portal/home",
    )  # fmt: skip
    assert right.headers["location"] == "/portal/home"
    assert visitor.token() != before
    csrf = visitor.csrf("/portal/security")
    assert visitor.http.post("/portal/withdraw", data={"csrf": csrf}).status_code == 200
    assert not stolen(world, before).signed_in()


def test_confirming_with_somebody_elses_password_does_not_change_who_one_is(world: World) -> None:
    """The confirmation is of the account that is signed in."""
    visitor, other = world.with_password("A-0001"), world.with_password("A-0002", "192.0.2.9")
    visitor.set_password("another fine long phrase")
    world.later(minutes=11)
    visitor.seed = other.seed
    answer = visitor.send(
        "/portal/confirm", password="tide mango copper nine", code=visitor.code(), name="A-0002"
    )
    assert answer.status_code == 422
    assert visitor.http.get("/portal/home").json() == {"subject_ref": f"sub_{1:026d}"}


def test_signing_out_ends_the_session_itself(world: World) -> None:
    """A copied cookie is worth nothing after its owner signed out."""
    visitor = world.with_password()
    copied = stolen(world, visitor.token())
    assert copied.signed_in()
    answer = visitor.send("/portal/security", "/portal/sign-out")
    assert answer.headers["location"] == "/portal/sign-in"
    assert visitor.token() is None
    assert not copied.signed_in()


def test_one_sees_where_one_is_signed_in_and_ends_it_one_by_one_or_everywhere(
    world: World,
) -> None:
    """A stolen session is seen, and ended, by the account's owner."""
    first = world.with_password()
    second = world.visitor(**{"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
    second.seed = first.seed
    second.sign_in()
    page = first.http.get("/portal/security").text
    assert "Firefox · Linux" in page
    names = field_of(page, "session")
    assert first.send(
        "/portal/security", "/portal/security/sessions/end", session=names
    ).is_redirect
    assert not second.signed_in()
    assert first.signed_in()
    second.sign_in()
    first.send("/portal/security", "/portal/security/sessions/end-all")
    assert not first.signed_in()
    assert not second.signed_in()


def test_nobody_ends_somebody_elses_session(world: World) -> None:
    """The name of a session opens and ends nothing for others."""
    victim, attacker = world.with_password("A-0001"), world.with_password("A-0002", "192.0.2.9")
    with world.node.database.read() as connection:
        from node.storage import people

        account = people.by_login(connection, "portal", f"sub_{1:026d}")
    assert account is not None
    name = world.people.sessions.every(account.account_id)[0].session_id
    answer = attacker.send("/portal/security", "/portal/security/sessions/end", session=name)
    assert answer.status_code == 404
    assert victim.signed_in()


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/", "//evil.example/", "/\\evil.example", "/portal//evil.example",
        "/portal/../desk/", "javascript:alert(1)", "/portal/x\r\nSet-Cookie: a=b", "/desk/",
        "/portalevil", "/portal/\u00e9", "x" * 600,
    ],
)  # fmt: skip
def test_a_sign_in_never_leads_to_another_site(world: World, wanted: str) -> None:
    """Open redirect: what is not a page of the portal becomes its first page."""
    seed = world.with_password().seed
    visitor = world.visitor()
    visitor.seed = seed
    wanted = wanted[:500]
    page = visitor.http.get("/portal/sign-in", params={"next": wanted})
    assert field_of(page.text, "next") == "/portal/"
    assert (
        visitor.sign_in(next=wanted.replace("\r", " ").replace("\n", " ")).headers["location"]
        == "/portal/"
    )


def test_a_closed_account_is_out_at_the_next_request(world: World) -> None:
    """Closing an account, as an erasure does, ends what it had and lets nothing in again."""
    visitor = world.with_password()
    with world.node.database.write() as connection:
        world.people.accounts.close_person(connection, f"sub_{1:026d}")
    assert not visitor.signed_in()
    again = world.visitor()
    again.seed = visitor.seed
    assert again.sign_in().status_code == 422


def test_old_rows_are_dropped(world: World) -> None:
    """Sessions, answered challenges and attempts do not pile up."""
    world.with_passkey()
    world.visitor().sign_in("A-0002", "no", "1")
    world.later(minutes=26 * 60)
    world.people.attempts.prune()
    with world.node.database.read() as connection:
        for table in ("web_session", "spent_challenge", "sign_in_attempt"):
            count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
            assert count == 0, table


def stolen(world: World, token: str | None) -> Visitor:
    """A browser with a copied cookie."""
    visitor = world.visitor("203.0.113.1")
    visitor.http.cookies.set("credence", token or "", domain="localhost.local", path="/")
    return visitor


def test_responses_are_kept_nowhere_and_framed_by_nobody(world: World) -> None:
    """Clickjacking and caches: the headers of every account page."""
    visitor = world.with_password()
    answers: list[httpx.Response] = [visitor.http.get("/portal/security")]
    answers += [visitor.http.get("/portal/enrol/password"), visitor.http.get("/desk/sign-in")]
    for answer in answers:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "<script>" not in answer.text
        assert " style=" not in answer.text
        assert " onclick=" not in answer.text


def test_the_token_of_no_cookie_at_all_is_refused(world: World) -> None:
    """Login CSRF: what anybody can compute for an empty cookie is no token."""
    visitor = world.visitor()
    answer = visitor.http.post("/portal/sign-in", data={"csrf": csrf_token(""), "name": "A-0001"})
    assert answer.status_code == 403
    assert visitor.http.post("/portal/withdraw", data={"csrf": csrf_token("")}).is_redirect
