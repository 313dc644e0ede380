"""Signing in through the institution's own provider, a real one over HTTP, and its attackers."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi.responses import RedirectResponse
from joserfc.jwk import ECKey, OKPKey, RSAKey

from node.people.wiring import make_people
from node.settings import SettingsInvalid, make_settings
from tests.people.provider import (
    CLIENT,
    SECRET,
    Provider,
    serving,
    unsigned,
    with_public_key_as_secret,
)
from tests.people.world import Visitor, World, change_settings, open_world
from tests.support.authenticator import b64url

START = "/portal/sign-in/institution?next=/portal/home"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving(Provider()) as served:
        yield served


@pytest.fixture
def bank(provider: Provider, made: Path, tmp_path: Path) -> Iterator[World]:
    home = tmp_path / "bank"
    shutil.copytree(made, home)
    change_settings(
        home, oidc_issuer=provider.url, oidc_client_id=CLIENT, oidc_secret_file="oidc.secret"
    )
    (home / "oidc.secret").write_text(SECRET + "\n")
    with open_world(home) as world:
        provider.now_ms = lambda: world.clock[0]
        yield world


def test_a_customer_signs_in_at_the_institution_and_comes_back(
    bank: World, provider: Provider
) -> None:
    """There, back, and on to the page that was wanted; the account is made on the way."""
    visitor = bank.visitor()
    assert "Harbour Bank sign-in" in visitor.http.get("/portal/sign-in").text
    answer = there_and_back(visitor)
    assert answer.headers["location"] == "/portal/home"
    assert visitor.http.get("/portal/home").json() == {"subject_ref": f"sub_{1:026d}"}
    assert provider.asked["code_challenge_method"] == "S256"
    assert provider.asked["response_type"] == "code"
    assert bank.kinds() == ["account.made", "sign_in.succeeded"]
    again = bank.visitor()
    there_and_back(again)
    assert again.http.get("/portal/home").status_code == 200
    assert bank.kinds().count("account.made") == 1


def test_the_provider_says_whether_it_asked_for_a_second_factor(
    bank: World, provider: Provider
) -> None:
    """A password alone at the provider is marked as such here."""
    for methods, strong in ((["pwd"], False), (["pwd", "mfa"], True), ("mfa", False)):
        provider.claims = lambda claims, methods=methods: {**claims, "amr": methods}
        visitor = bank.visitor()
        there_and_back(visitor)
        session = bank.people.sessions.person(visitor.token() or "")
        assert session is not None
        assert session.second_factor is strong
        assert session.method == "oidc"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another-client"]},
        {"aud": [CLIENT], "azp": "another-client"},
        {"exp": 1},
        {"exp": "soon"},
        {"iat": 1},
        {"iat": 4_000_000_000},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": ""},
        {"sub": None},
        {"customer_id": "Z-9999"},
        {"customer_id": None},
        {"customer_id": 1},
        {"customer_id": ["A-0001"]},
        {"customer_id": "x" * 5000},
    ],
)
def test_an_id_token_that_is_not_what_it_must_be_opens_nothing(
    bank: World, provider: Provider, changes
) -> None:
    """Another issuer, client, time, sign-in or customer: back to the sign-in page."""
    provider.claims = lambda claims: {**claims, **changes}
    refused(bank, there_and_back(bank.visitor()))


@pytest.mark.parametrize("forgery", ["none", "confusion", "another key", "no kid", "garbage"])
def test_a_forged_id_token_opens_nothing(bank: World, provider: Provider, forgery: str) -> None:
    """Without a signature, with a symmetric one, or by a key the provider does not publish."""
    other = Provider(key=ECKey.generate_key("P-256", {"kid": "one"}))
    unknown = Provider(key=ECKey.generate_key("P-256", {"kid": "two"}))
    provider.sign = {
        "none": unsigned,
        "confusion": with_public_key_as_secret(provider),
        "another key": other.signed,
        "no kid": unknown.signed,
        "garbage": lambda claims: "a.b.c",
    }[forgery]
    refused(bank, there_and_back(bank.visitor()))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", lambda: RSAKey.generate_key(2048, {"kid": "r"})),
        ("PS256", lambda: RSAKey.generate_key(2048, {"kid": "r"})),
        ("ES384", lambda: ECKey.generate_key("P-384", {"kid": "e"})),
        ("Ed25519", lambda: OKPKey.generate_key("Ed25519", {"kid": "o"})),
    ],
)
def test_the_algorithms_that_providers_use_are_taken(
    bank: World, provider: Provider, algorithm: str, key
) -> None:
    """RSA, elliptic curves and Ed25519."""
    provider.algorithm, provider.key = algorithm, key()
    assert there_and_back(bank.visitor()).headers["location"] == "/portal/home"


@pytest.mark.parametrize("algorithm", ["ES512", "RS512", "ES256K", "EdDSA"])
def test_other_algorithms_are_refused(bank: World, provider: Provider, algorithm: str) -> None:
    """A header cannot choose what the list does not have."""

    def signed(claims) -> str:
        header = {"alg": algorithm, "kid": "one"}
        parts = provider.signed(claims).split(".")
        return ".".join([b64url(json.dumps(header).encode()), *parts[1:]])

    provider.sign = signed
    refused(bank, there_and_back(bank.visitor()))


def test_a_key_that_the_provider_replaced_is_known_within_a_minute(
    bank: World, provider: Provider
) -> None:
    """Key rotation at the institution needs nobody's hand here."""
    there_and_back(bank.visitor())
    provider.key = ECKey.generate_key("P-256", {"kid": "next"})
    bank.later(minutes=1)
    assert there_and_back(bank.visitor()).headers["location"] == "/portal/home"


def test_what_comes_back_to_another_browser_opens_nothing(bank: World) -> None:
    """Login CSRF: an attacker's own return address signs no victim in."""
    attacker, victim = bank.visitor(), bank.visitor()
    back = return_address(attacker)
    refused(bank, victim.http.get(back))
    victim.http.get(START)
    refused(bank, victim.http.get(back))


@pytest.mark.parametrize("forgetful", [False, True])
def test_a_return_is_used_once(bank: World, provider: Provider, forgetful: bool) -> None:
    """Replay: neither the code nor the state works twice, whatever the provider lets pass."""
    provider.forgetful = forgetful
    visitor = bank.visitor()
    back = return_address(visitor)
    ticket = visitor.http.cookies["credence-oidc"]
    assert visitor.http.get(back).headers["location"] == "/portal/home"
    thief = bank.visitor(Cookie=f"credence-oidc={ticket}")
    refused(bank, thief.http.get(back))


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "another"}, {"state": ""}, {"code": ""}, {"code": "x" * 3000},
        {"iss": "https://evil.example"}, {"error": "access_denied"}, {"state": "\u00e9"},
    ],
)  # fmt: skip
def test_a_return_that_was_changed_opens_nothing(bank: World, changes: dict[str, str]) -> None:
    """State, code, issuer and error of the return are checked."""
    visitor = bank.visitor()
    back = httpx.URL(return_address(visitor)).copy_merge_params(changes)
    refused(bank, visitor.http.get(str(back)))


def test_a_return_that_comes_too_late_opens_nothing(bank: World) -> None:
    """Ten minutes from beginning to end."""
    visitor = bank.visitor()
    back = return_address(visitor)
    bank.later(minutes=10)
    refused(bank, visitor.http.get(back))


def test_confirming_needs_the_same_person_and_a_new_sign_in(
    bank: World, provider: Provider
) -> None:
    """Freshness through the provider: it is asked to ask again, and by whom it was answered."""
    visitor = bank.visitor()
    there_and_back(visitor)
    bank.later(minutes=11)
    page = visitor.http.get("/portal/confirm?next=/portal/home").text
    assert "Go on at Harbour Bank" in page
    provider.customer = "A-0002"
    refused(bank, there_and_back(visitor))
    assert (provider.asked["prompt"], provider.asked["max_age"]) == ("login", "0")
    provider.customer = "A-0001"
    provider.claims = lambda claims: {**claims, "auth_time": claims["auth_time"] - 600}
    refused(bank, there_and_back(visitor))
    provider.claims = lambda claims: claims
    assert there_and_back(visitor).headers["location"] == "/portal/home"
    csrf = visitor.csrf("/portal/security")
    assert visitor.http.post("/portal/withdraw", data={"csrf": csrf}).status_code == 200


@pytest.mark.parametrize(
    "description",
    [
        lambda found: {**found, "issuer": "https://evil.example"},
        lambda found: {**found, "token_endpoint": "http://evil.example/token"},
        lambda found: {**found, "authorization_endpoint": "javascript:alert(1)"},
        lambda found: {**found, "jwks_uri": "file:///etc/passwd"},
        lambda found: {name: found[name] for name in ("issuer",)},
        lambda found: [],
        lambda found: {**found, "padding": "x" * 70_000},
        lambda found: RedirectResponse("https://evil.example/"),
    ],
)
def test_a_description_that_is_not_the_pinned_issuers_sends_nobody_anywhere(
    bank: World, provider: Provider, description
) -> None:
    """Another issuer, an unsafe address, too long, or a redirect: a page that says so."""
    provider.description = description
    answer = bank.visitor().http.get(START)
    assert answer.status_code == 503
    assert "provider_unavailable" in answer.text


def test_a_provider_that_does_not_answer_is_given_up(bank: World, provider: Provider) -> None:
    """Five seconds, then the other ways to sign in are pointed to."""
    visitor = bank.visitor()
    back = return_address(visitor)
    provider.delay_s = 5.5
    began = time.monotonic()
    answer = visitor.http.get(back)
    assert answer.status_code == 503
    assert time.monotonic() - began < 9


def test_a_secret_that_is_not_there_leaves_the_other_ways(bank: World) -> None:
    """A page that says it does not work now; no other command of the node minds."""
    visitor = bank.visitor()
    back = return_address(visitor)
    (bank.node.home / "oidc.secret").unlink()
    assert visitor.http.get(back).status_code == 503
    assert bank.with_password().signed_in()


def test_a_provider_that_is_down_leaves_the_other_ways(
    world: World, made: Path, tmp_path: Path
) -> None:
    """The sign-in page does not need it."""
    shutil.copytree(made, tmp_path / "down")
    change_settings(tmp_path / "down", oidc_issuer="http://127.0.0.1:1", oidc_client_id=CLIENT)
    with open_world(tmp_path / "down") as down:
        visitor = down.visitor()
        assert visitor.http.get("/portal/sign-in").status_code == 200
        assert visitor.http.get(START).status_code == 503
        assert down.with_password().signed_in()
    assert world.visitor().http.get(START).status_code == 404


def test_staff_do_not_sign_in_as_customers_do(bank: World) -> None:
    """The desk has no such door."""
    visitor = bank.visitor()
    assert "institution" not in visitor.http.get("/desk/sign-in").text.split("<main")[1].split(
        "passkey"
    )[0].replace("Harbour Bank", "")
    assert visitor.http.get("/desk/sign-in/institution").status_code == 404


@pytest.mark.parametrize(
    "settings",
    [
        {"oidc_issuer": "http://provider.example"},
        {"oidc_issuer": "https://provider.example?x=1"},
        {"oidc_issuer": "https://provider.example", "oidc_client_id": ""},
        {"oidc_issuer": "https://p.example", "oidc_client_id": "c", "oidc_scopes": ("email",)},
        {"public_url": "http://bank.example"},
        {"public_url": "https://bank.example/portal"},
        {"public_url": "https://bank.example", "rp_id": "evil.example"},
        {"public_url": "https://bank.example", "rp_id": "ank.example"},
        {"origins": ("ftp://x",)},
        {"proxies": ("proxy.example",)},
    ],
)
def test_settings_that_would_not_be_safe_are_refused(world: World, settings) -> None:
    """No sign-in over plain HTTP but on this machine, no foreign domain for passkeys."""
    with pytest.raises(SettingsInvalid):
        make_people(
            make_settings(member_id="bank-a", name="Bank", role="bank", **settings),
            home=world.node.home,
            kek=bytes(32),
            database=world.node.database,
            audit=world.node.audit,
            clock=lambda: 0,
        )


def there_and_back(visitor: Visitor) -> httpx.Response:
    """Begin here, sign in at the provider, come back here."""
    return visitor.http.get(return_address(visitor))


def return_address(visitor: Visitor) -> str:
    """Where the provider sends the browser back to."""
    begun = visitor.http.get(START)
    assert begun.status_code == 303, begun.text
    answer = httpx.get(begun.headers["location"], follow_redirects=False)
    back = urlsplit(answer.headers["location"])
    assert parse_qs(back.query)["state"]
    return f"{back.path}?{back.query}"


def refused(bank: World, answer: httpx.Response) -> None:
    """Nobody was signed in; the log says that somebody tried."""
    assert answer.headers["location"] == "/portal/sign-in?failed=institution"
    assert bank.kinds()[-1] == "sign_in.refused"
