"""Passkeys: made, used, and what a forger or thief of one tries."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.storage import people
from tests.people.world import ORIGIN, Visitor, World
from tests.support.authenticator import Authenticator


def test_a_passkey_signs_in_without_a_name(world: World) -> None:
    """One touch: the passkey names the account."""
    key = key_of(world.with_passkey())
    visitor = world.visitor()
    answer = visitor.sign_in_with_passkey(key)
    assert (answer.status_code, answer.json()) == (200, {"next": "/portal/"})
    assert visitor.http.get("/portal/home").json() == {"subject_ref": f"sub_{1:026d}"}


def test_a_synced_passkey_that_does_not_count_signs_in_again_and_again(world: World) -> None:
    """A counter that stays zero is allowed: passkeys in a password manager have none."""
    key = key_of(world.with_passkey(counts=False))
    for _ in range(2):
        assert world.visitor().sign_in_with_passkey(key).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:7501.evil.example"},
        {"rp_id": "evil.example"},
        {"challenge": b"x" * 56},
        {"user_verified": False},
        {"user_handle": b"x" * 32},
        {"user_handle": b""},
        {"damage": True},
    ],
)
def test_an_assertion_that_is_not_what_it_must_be_is_refused(world: World, changes) -> None:
    """Forged: of another site, another challenge, another account, unverified, or damaged."""
    visitor = world.visitor()
    answer = visitor.sign_in_with_passkey(key_of(world.with_passkey()), **changes)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_refused")
    assert visitor.token() is None


def test_an_assertion_opens_one_session(world: World) -> None:
    """Replay: what a passkey answered is taken once, also in the same browser."""
    key = key_of(world.with_passkey(counts=False))
    visitor = world.visitor()
    csrf = visitor.csrf("/portal/sign-in")
    options = visitor.call("/portal/sign-in/passkey/options", csrf).json()
    response = key.sign(options)
    cookies = dict(visitor.http.cookies)
    assert visitor.answer("/portal/sign-in/passkey", csrf, response).status_code == 200
    for name, value in cookies.items():
        visitor.http.cookies.set(name, value, domain="localhost.local", path="/")
    again = visitor.answer("/portal/sign-in/passkey", csrf, response)
    assert again.json()["code"] == "sign_in_refused"


def test_one_assertion_sent_many_times_at_once_opens_one_session(world: World) -> None:
    """Replays at the same moment lose against each other in the database."""
    key = key_of(world.with_passkey(counts=False))
    visitor = world.visitor()
    csrf = visitor.csrf("/portal/sign-in")
    response = key.sign(visitor.call("/portal/sign-in/passkey/options", csrf).json())
    before = visitor.http.cookies["credence-before"]

    def send(number: int) -> int:
        other = world.visitor(f"198.51.100.{number}", Cookie=f"credence-before={before}")
        return other.answer("/portal/sign-in/passkey", csrf, response).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, range(4))) == [200, 401, 401, 401]


def test_an_assertion_for_another_browser_is_refused(world: World) -> None:
    """A challenge answers in the browser that asked for it."""
    key = key_of(world.with_passkey())
    thief, victim = world.visitor(), world.visitor()
    csrf = thief.csrf("/portal/sign-in")
    options = victim.call("/portal/sign-in/passkey/options", victim.csrf("/portal/sign-in")).json()
    assert thief.answer("/portal/sign-in/passkey", csrf, key.sign(options)).status_code == 401


def test_a_challenge_of_the_past_is_refused(world: World) -> None:
    """Five minutes, then one asks again."""
    key = key_of(world.with_passkey())
    visitor = world.visitor()
    csrf = visitor.csrf("/portal/sign-in")
    options = visitor.call("/portal/sign-in/passkey/options", csrf).json()
    world.later(minutes=5)
    assert visitor.answer("/portal/sign-in/passkey", csrf, key.sign(options)).status_code == 401


def test_a_cloned_passkey_is_caught_by_its_counter(world: World) -> None:
    """Whoever copied the key signs with a counter that was used: refused, and in the log."""
    key = key_of(world.with_passkey())
    clone = key.clone()
    assert world.visitor().sign_in_with_passkey(key).status_code == 200
    assert world.visitor().sign_in_with_passkey(clone).status_code == 401
    assert world.kinds()[-1] == "sign_in.refused"
    assert world.visitor().sign_in_with_passkey(key).status_code == 200


def test_a_passkey_that_nobody_has_here_gets_the_same_answer(world: World) -> None:
    """Nobody learns whether a passkey is known."""
    known = key_of(world.with_passkey())
    stranger = Authenticator("localhost", ORIGIN)
    stranger.user_handle = known.user_handle
    bodies = []
    for key, changes in ((known, {"damage": True}), (stranger, {})):
        body = world.visitor().sign_in_with_passkey(key, **changes).json()
        bodies.append({name: value for name, value in body.items() if name != "request_id"})
    assert bodies[0] == bodies[1]


def test_the_options_name_nobody(world: World) -> None:
    """Nobody learns from what the browser is asked for who has a passkey."""
    world.with_passkey()
    visitor = world.visitor()
    options = visitor.call("/portal/sign-in/passkey/options", visitor.csrf("/portal/sign-in"))
    assert options.json()["allowCredentials"] == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"null", b'{"id":1}', b'{"id":"x","response":{"clientDataJSON":"!"}}',
     b'{"response":{"clientDataJSON":"' + b"A" * 9000 + b'"}}', b"[" * 5000, b"x" * 40_000],
)  # fmt: skip
def test_what_is_no_answer_of_a_passkey_is_refused(world: World, body: bytes) -> None:
    """Garbage is a refusal, not a failure."""
    visitor = world.visitor()
    csrf = visitor.csrf("/portal/sign-in")
    answer = visitor.answer("/portal/sign-in/passkey", csrf, body)
    assert answer.status_code in {400, 401, 413}
    assert answer.json()["code"] in {"sign_in_refused", "malformed", "body_too_large"}


def test_passkeys_are_limited_by_address(world: World) -> None:
    """Forty answers that do not hold, then a pause."""
    key = key_of(world.with_passkey())
    visitor = world.visitor("203.0.113.5")
    statuses = [visitor.sign_in_with_passkey(key, damage=True).status_code for _ in range(42)]
    assert statuses == [401] * 40 + [429] * 2


def test_a_locked_name_still_signs_in_with_a_passkey(world: World) -> None:
    """Who fills another's count of guesses does not keep them out."""
    key = key_of(world.with_passkey())
    for _ in range(6):
        world.visitor("203.0.113.5").sign_in("A-0001", "no", "1")
    assert world.visitor().sign_in_with_passkey(key).status_code == 200


def test_a_passkey_confirms_who_one_is_for_its_own_account_alone(world: World) -> None:
    """Another person's passkey does not make a session fresh."""
    mine = world.with_passkey("A-0001")
    theirs = key_of(world.with_passkey("A-0002"))
    world.later(minutes=11)
    for key, status in ((theirs, 401), (key_of(mine), 200)):
        csrf = mine.csrf("/portal/confirm")
        options = mine.call("/portal/confirm/passkey/options", csrf).json()
        answer = mine.answer("/portal/confirm/passkey?next=/portal/home", csrf, key.sign(options))
        assert answer.status_code == status
    assert answer.json() == {"next": "/portal/home"}
    csrf = mine.csrf("/portal/security")
    assert mine.http.post("/portal/withdraw", data={"csrf": csrf}).status_code == 200


def test_a_passkey_is_added_in_a_fresh_session_alone(world: World) -> None:
    """Who finds an open browser does not add a key of their own."""
    visitor = world.with_password()
    csrf = visitor.csrf("/portal/security")
    world.later(minutes=11)
    answer = visitor.call("/portal/enrol/passkey/options", csrf)
    assert (answer.status_code, answer.json()["code"]) == (403, "confirm_first")


def test_a_registration_for_another_session_or_challenge_is_refused(world: World) -> None:
    """Nobody adds a key to somebody else's account, nor the same answer twice."""
    mine, theirs = world.with_password("A-0001"), world.with_password("A-0002", "192.0.2.9")
    key = Authenticator("localhost", ORIGIN)
    csrf = mine.csrf("/portal/enrol")
    options = mine.call("/portal/enrol/passkey/options", csrf).json()
    call = {"label": "phone", "credential": json.loads(key.register(options))}
    stolen = theirs.call("/portal/enrol/passkey", theirs.csrf("/portal/enrol"), call)
    assert stolen.json()["code"] == "challenge_refused"
    evil = {**call, "credential": json.loads(key.register(options, origin="https://evil.example"))}
    assert mine.call("/portal/enrol/passkey", csrf, evil).json()["code"] == "passkey_rejected"
    assert mine.call("/portal/enrol/passkey", csrf, call).status_code == 200
    again = mine.call("/portal/enrol/passkey", mine.csrf("/portal/enrol"), call)
    assert again.json()["code"] == "challenge_refused"


def test_a_key_that_another_account_has_is_not_added(world: World) -> None:
    """A credential belongs to one account."""
    first, second = world.with_passkey("A-0001"), world.with_password("A-0002", "192.0.2.9")
    csrf = second.csrf("/portal/enrol")
    options = second.call("/portal/enrol/passkey/options", csrf).json()
    call = {"label": "", "credential": json.loads(key_of(first).register(options))}
    assert second.call("/portal/enrol/passkey", csrf, call).json()["code"] == "passkey_rejected"


def test_a_passkey_that_was_taken_away_opens_nothing(world: World) -> None:
    """Removing it takes effect at once, and ends the other sessions."""
    visitor = world.with_password()
    visitor.add_passkey()
    other = world.visitor()
    other.sign_in_with_passkey(key_of(visitor))
    assert other.signed_in()
    page = visitor.http.get("/portal/security").text
    credential = page.split('name="passkey" value="')[1].split('"')[0]
    assert visitor.send(
        "/portal/security", "/portal/security/passkeys/remove", passkey=credential
    ).is_redirect
    assert not other.signed_in()
    assert visitor.signed_in()
    assert world.visitor().sign_in_with_passkey(key_of(visitor)).status_code == 401


def test_the_last_way_in_is_not_taken_away(world: World) -> None:
    """Nobody locks themselves out by accident."""
    visitor = world.with_passkey()
    page = visitor.http.get("/portal/security").text
    credential = page.split('name="passkey" value="')[1].split('"')[0]
    answer = visitor.send(
        "/portal/security", "/portal/security/passkeys/remove", passkey=credential
    )
    assert answer.status_code == 409
    assert "Nothing else would open your account" in answer.text
    assert world.visitor().sign_in_with_passkey(key_of(visitor)).status_code == 200
    owner = world.with_password("A-0002", "192.0.2.9")
    answer = owner.send("/portal/security", "/portal/security/password/remove")
    assert answer.status_code == 409


def test_nobody_takes_somebody_elses_passkey_away(world: World) -> None:
    """The id of a credential is no secret and opens no door."""
    victim, attacker = world.with_passkey("A-0001"), world.with_password("A-0002", "192.0.2.9")
    page = victim.http.get("/portal/security").text
    credential = page.split('name="passkey" value="')[1].split('"')[0]
    answer = attacker.send(
        "/portal/security", "/portal/security/passkeys/remove", passkey=credential
    )
    assert answer.status_code == 404
    assert world.visitor().sign_in_with_passkey(key_of(victim)).status_code == 200


def test_a_passkey_of_the_portal_does_not_open_the_desk(world: World) -> None:
    """People and staff are apart, whatever key they hold."""
    key = key_of(world.with_passkey())
    assert world.visitor().sign_in_with_passkey(key, "desk").status_code == 401


def test_the_counter_of_a_passkey_is_stored(world: World) -> None:
    """A restart does not forget it."""
    visitor = world.with_passkey()
    key = key_of(visitor)
    world.visitor().sign_in_with_passkey(key)
    with world.node.database.read() as connection:
        row = people.find_passkey(connection, key.credential_id)
    assert row is not None
    assert row.sign_count == key.sign_count == 1


def key_of(visitor: Visitor) -> Authenticator:
    assert visitor.key is not None
    return visitor.key
