"""Signing in with a password and a code, and what an attacker tries there."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.storage import people
from protocols.passwords import PasswordCost, Passwords
from tests.people.world import CHEAP, PASSWORD, World


def test_a_code_of_the_institution_opens_an_account_and_leads_to_the_ways_to_sign_in(
    world: World,
) -> None:
    """A person without an account gets one with customer number and code, and must add a factor."""
    visitor = world.visitor()
    answer = visitor.activate("A-0001", world.code_for())
    assert (answer.status_code, answer.headers["location"]) == (303, "/portal/enrol")
    assert visitor.http.get("/portal/home").headers["location"] == "/portal/enrol"
    assert visitor.set_password().status_code == 200
    assert len(visitor.codes) == 10
    assert visitor.http.get("/portal/home").json() == {"subject_ref": f"sub_{1:026d}"}


def test_password_and_code_sign_in_and_lead_to_where_one_wanted_to_go(world: World) -> None:
    """The page that asked for a sign-in is the one that follows it."""
    seed = world.with_password().seed
    visitor = world.visitor()
    visitor.seed = seed
    wanted = visitor.http.get("/portal/home?page=2")
    assert wanted.headers["location"] == "/portal/sign-in?next=%2Fportal%2Fhome%3Fpage%3D2"
    answer = visitor.sign_in(next="/portal/home?page=2")
    assert answer.headers["location"] == "/portal/home?page=2"
    assert visitor.http.get("/portal/home").status_code == 200


def test_one_can_read_the_sign_in_page_in_three_languages(world: World) -> None:
    """The pages speak English and both Chinese scripts."""
    visitor = world.visitor()
    for tag, word in {"en": "Sign in", "zh-Hans": "登录", "zh-Hant": "登入"}.items():
        page = visitor.http.get(f"/portal/sign-in?lang={tag}")
        assert word in page.text
        assert f'lang="{tag}"' in page.text


@pytest.mark.parametrize(
    ("customer", "password", "code"),
    [
        ("A-0001", "wrong password here", "right"),
        ("A-0001", PASSWORD, "000000"),
        ("A-0001", PASSWORD, ""),
        ("A-0002", PASSWORD, "right"),  # known, without an account
        ("Z-9999", PASSWORD, "right"),  # nobody
    ],
)
def test_every_failure_has_one_and_the_same_answer(
    world: World, customer: str, password: str, code: str
) -> None:
    """Nobody learns from the answer who has an account, nor which part was wrong."""
    seed = world.with_password().seed
    visitor = world.visitor("192.0.2.77")
    visitor.seed = seed
    world.later(s=30)
    reference = visitor.sign_in("Z-0000", "anything at all", "123456")
    answer = visitor.sign_in(customer, password, visitor.code() if code == "right" else code)
    assert answer.status_code == reference.status_code == 422
    assert answer.text.replace(customer, "Z-0000") == reference.text
    ours = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    theirs = {name: value for name, value in reference.headers.items() if name != "x-request-id"}
    assert ours == theirs
    assert visitor.token() is None


def test_a_name_that_nobody_has_costs_as_much_as_one_that_somebody_has(world: World) -> None:
    """The time of an answer does not tell who has an account."""
    world.cost = PasswordCost(memory_kib=16 * 1024, passes=2, lanes=1)
    world.restart()
    world.with_password()
    took: dict[str, list[float]] = {"A-0001": [], "A-0002": [], "Z-9999": []}
    for turn in range(7):
        for customer, times in took.items():
            world.later(minutes=20)
            visitor = world.visitor(f"198.51.100.{turn}")
            csrf = visitor.csrf("/portal/sign-in")
            began = time.process_time()  # its own work, whatever else the machine does
            visitor.send("/portal/sign-in", name=customer, password="x" * 20, code="1", csrf=csrf)
            times.append(time.process_time() - began)
    least = [min(times) for times in took.values()]
    assert max(least) < 1.5 * min(least)


def test_a_code_is_taken_once(world: World) -> None:
    """Who saw a code over somebody's shoulder cannot use it again, nor an earlier one."""
    seed = world.with_password().seed
    world.later(s=60)
    first, second = world.visitor(), world.visitor()
    first.seed = second.seed = seed
    code, earlier = first.code(), first.code(-1)
    assert first.sign_in(code=code).status_code == 303
    assert second.sign_in(code=code).status_code == 422
    assert second.sign_in(code=earlier).status_code == 422
    world.later(s=30)
    assert second.sign_in(code=second.code()).status_code == 303


def test_one_code_sent_many_times_at_once_opens_one_session(world: World) -> None:
    """Replays at the same moment lose against each other in the database."""
    seed = world.with_password().seed
    world.later(s=30)
    visitors = [world.visitor(f"198.51.100.{number}") for number in range(4)]
    for visitor in visitors:
        visitor.seed = seed
    code, tokens = visitors[0].code(), [one.csrf("/portal/sign-in") for one in visitors]

    def sign_in(number: int) -> int:
        return visitors[number].sign_in(code=code, csrf=tokens[number]).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(sign_in, range(4)))
    assert statuses == [303, 422, 422, 422]


def test_the_code_that_confirmed_an_app_does_not_sign_in_too(world: World) -> None:
    """Setting up counts as a use."""
    visitor = world.with_password()
    other = world.visitor()
    other.seed = visitor.seed
    assert other.sign_in(code=other.code()).status_code == 422


def test_a_recovery_code_works_once_however_it_is_typed(world: World) -> None:
    """Who lost the phone gets in once a code, with the password."""
    owner = world.with_password()
    visitor = world.visitor()
    typed = owner.codes[0].lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert visitor.sign_in(code=typed).status_code == 303
    assert world.visitor().sign_in(code=owner.codes[0]).status_code == 422
    assert "9 recovery codes" in visitor.http.get("/portal/security").text
    assert world.visitor().sign_in(password="wrong", code=owner.codes[1]).status_code == 422
    assert world.visitor().sign_in(code=owner.codes[1]).status_code == 303


def test_guesses_at_one_name_end_after_five_even_from_many_addresses(world: World) -> None:
    """A name's guesses are counted wherever they come from; the right password is refused too."""
    seed = world.with_password().seed
    for number in range(5):
        assert (
            world.visitor(f"203.0.113.{number}").sign_in(password="no", code="1").status_code == 422
        )
    late = world.visitor("203.0.113.99")
    late.seed = seed
    answer = late.sign_in()
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) == 900
    world.later(minutes=15)
    assert late.sign_in().status_code == 303


def test_a_name_that_nobody_has_is_limited_like_any_other(world: World) -> None:
    """The limit does not tell who has an account."""
    world.with_password()
    for customer in ("A-0001", "Z-9999"):
        answers = [world.visitor().sign_in(customer, "no", "1") for _ in range(7)]
        assert [one.status_code for one in answers] == [422] * 5 + [429] * 2
    bodies = {world.visitor().sign_in(one, "no", "1").status_code for one in ("A-0001", "Z-9999")}
    assert bodies == {429}


def test_guesses_from_one_address_end_whatever_names_they_try(world: World) -> None:
    """Trying one password with many names is limited by address; other addresses go on."""
    answers = [
        world.visitor("203.0.113.5").sign_in(f"N-{number}", "no", "1").status_code
        for number in range(42)
    ]
    assert answers == [422] * 40 + [429] * 2
    assert world.visitor("203.0.113.6").sign_in("N-1", "no", "1").status_code == 422


def test_a_restart_forgives_no_guess(world: World) -> None:
    """Attempts are counted in the database."""
    for _ in range(5):
        world.visitor().sign_in("A-0001", "no", "1")
    world.restart()
    assert world.visitor().sign_in("A-0001", "no", "1").status_code == 429


def test_fifty_guesses_at_once_are_fifty_guesses(world: World) -> None:
    """An attempt counts before it is checked: parallel ones do not slip past the limit."""
    visitors = [world.visitor(f"203.0.113.{number % 3}") for number in range(20)]
    tokens = [one.csrf("/portal/sign-in") for one in visitors]

    def guess(number: int) -> int:
        fields = {"password": "no", "code": "1", "csrf": tokens[number]}
        return visitors[number].sign_in("A-0001", **fields).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(guess, range(20)))
    assert statuses.count(422) == 5
    assert statuses.count(429) == 15


def test_signing_in_clears_the_failures_of_the_name_alone(world: World) -> None:
    """An attacker with an account of their own cannot reset the count of their address."""
    seed = world.with_password().seed
    for number in range(39):
        world.visitor("203.0.113.5").sign_in(f"N-{number}", "no", "1")
    own = world.visitor("203.0.113.5")
    own.seed = seed
    assert own.sign_in().status_code == 303
    assert world.visitor("203.0.113.5").sign_in("N-50", "no", "1").status_code == 422
    assert world.visitor("203.0.113.5").sign_in("N-51", "no", "1").status_code == 429


def test_a_forwarded_address_counts_behind_a_known_proxy_alone(world: World) -> None:
    """Nobody escapes the limit by writing an address into a header."""
    for number in range(40):
        forged = world.visitor("203.0.113.5", **{"X-Forwarded-For": f"10.0.0.{number}"})
        forged.sign_in(f"N-{number}", "no", "1")
    one_more = world.visitor("203.0.113.5", **{"X-Forwarded-For": "10.0.1.1"})
    assert one_more.sign_in("N-99", "no", "1").status_code == 429


def test_a_password_hashed_at_an_older_cost_is_hashed_again(world: World) -> None:
    """Raising the cost reaches people as they sign in."""
    visitor = world.with_password()
    world.cost = PasswordCost(memory_kib=128, passes=1, lanes=1)
    world.restart()
    again = world.visitor()
    again.seed = visitor.seed
    assert again.sign_in().status_code == 303
    with world.node.database.read() as connection:
        row = people.by_login(connection, "portal", f"sub_{1:026d}")
    assert row is not None
    assert "m=128," in (row.password_hash or "")


class Overtaken(Passwords):
    """Passwords during whose check something else happens."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__(CHEAP)
        self._meanwhile = meanwhile

    def matches(self, kept: str | None, password: str) -> bool:
        matched = super().matches(kept, password)
        self._meanwhile()
        return matched


@pytest.mark.parametrize("change", ["password", "recovery", "closed"])
def test_what_changes_while_a_password_is_checked_is_seen(world: World, change: str) -> None:
    """The old password does not open the account that has just got another, or was closed."""
    owner = world.with_password()
    thief = world.visitor("203.0.113.9")
    thief.seed = owner.seed

    def meanwhile() -> None:
        if change == "password":
            with world.node.database.write() as connection:
                row = people.by_login(connection, "portal", f"sub_{1:026d}")
                assert row is not None
                people.rehash(connection, row.account_id, row.password_hash or "", "another")
        elif change == "recovery":
            world.visitor("192.0.2.5").activate("A-0001", world.code_for())
        else:
            with world.node.database.write() as connection:
                world.people.accounts.close_person(connection, f"sub_{1:026d}")

    world.people.sign_in._passwords = Overtaken(meanwhile)
    assert thief.sign_in(code=owner.codes[0]).status_code == 422
    world.later(s=30)
    assert thief.token() is None
