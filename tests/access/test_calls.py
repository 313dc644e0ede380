"""Calls with a token: stolen, replayed, for another call, of a client that is out."""

import secrets

import pytest

from node.access import proofs
from node.access.presented import Presented
from node.access.tokens import LIFE_S
from protocols.jose import parse_jwks
from protocols.oauth import AHEAD_S, PROOF_AGE_S, ProofRefused
from tests.access.world import ISSUER, Platform, World, key_set, make_key, open_world


def code(answer) -> str:
    return answer.json().get("code", "")


def test_a_stolen_token_opens_nothing_without_the_key(platform: Platform) -> None:
    """As a bearer token, with no proof, with a proof by the thief's key, with two proofs."""
    thing = "/v1/thing"
    bearer = platform.http.get(thing, headers={"Authorization": f"Bearer {platform.token}"})
    bare = platform.http.get(thing, headers={"Authorization": f"DPoP {platform.token}"})
    thief = platform.proof("GET", thing, token=platform.token, key=make_key())
    theirs = platform.call(proof=thief)
    mine = platform.proof("GET", thing, token=platform.token)
    twice = platform.http.get(
        thing,
        headers=[("Authorization", f"DPoP {platform.token}"), ("DPoP", mine), ("DPoP", thief)],
    )
    refused = [code(one) for one in (bearer, bare, theirs, twice)]
    assert refused == ["token_refused", *["dpop_proof_refused"] * 3]
    assert all(one.status_code == 401 for one in (bearer, bare, theirs, twice))
    assert theirs.headers["www-authenticate"].startswith('DPoP error="invalid_dpop_proof"')
    assert platform.call(proof=mine).is_success


def test_a_proof_is_good_once(platform: Platform) -> None:
    proof = platform.proof("GET", "/v1/thing", token=platform.token)
    assert platform.call(proof=proof).is_success
    assert code(platform.call(proof=proof)) == "dpop_proof_refused"


@pytest.mark.parametrize(
    "changes",
    [
        {"htm": "POST"},
        {"htm": "get"},
        {"htm": None},
        {"htu": f"{ISSUER}/v1/other"},
        {"htu": "https://evil.example/v1/thing"},
        {"htu": "http://scores.bank.example/v1/thing"},
        {"htu": f"{ISSUER}:8443/v1/thing"},
        {"htu": f"{ISSUER}/v1/./thing"},
        {"htu": f"{ISSUER}/v1/thing/"},
        {"htu": "/v1/thing"},
        {"htu": "https://[::1/v1/thing"},
        {"htu": None},
        {"iat": 0},
        {"iat": 2**40},
        {"iat": None},
        {"iat": "now"},
        {"jti": None},
        {"jti": ""},
        {"ath": None},
        {"ath": "AAAA"},
        {"ath": 5},
    ],
)
def test_a_proof_for_another_call_time_or_token_is_refused(
    platform: Platform, changes: dict
) -> None:
    proof = platform.proof("GET", "/v1/thing", token=platform.token, **changes)
    assert code(platform.call(proof=proof)) == "dpop_proof_refused"


@pytest.mark.parametrize(
    "address",
    [
        f"{ISSUER}/v1/thing?with=query#and-more",
        f"{ISSUER}:443/v1/thing",
        "HTTPS://Scores.Bank.Example/v1/thing",
        f"{ISSUER}/%76%31/thing",
    ],
)
def test_an_address_in_another_spelling_is_the_same(platform: Platform, address: str) -> None:
    proof = platform.proof("GET", "/v1/thing", token=platform.token, htu=address)
    assert platform.call("GET", "/v1/thing?a=1", proof=proof).is_success


def test_a_private_key_in_a_proof_is_refused(platform: Platform) -> None:
    private = platform.key.as_dict(private=True)
    header = {"jwk": private}
    proof = platform.proof("GET", "/v1/thing", token=platform.token, header=header)
    assert code(platform.call(proof=proof)) == "dpop_proof_refused"


def test_a_token_ends_after_five_minutes(world: World, platform: Platform) -> None:
    world.clock[0] += LIFE_S * 1000 - 1
    assert platform.call().is_success
    world.clock[0] += 1
    assert code(platform.call()) == "token_refused"
    assert platform.sign_in().call().is_success


def test_a_token_ends_with_the_process_that_gave_it(world: World, platform: Platform) -> None:
    """What its memory of proofs does not cover, a process does not believe (docs/adr/0018)."""
    proof = platform.proof("GET", "/v1/thing", token=platform.token)
    assert platform.call(proof=proof).is_success
    world.restart()
    platform.http = world.http()
    assert code(platform.call(proof=proof)) == "token_refused"
    assert platform.sign_in().call().is_success


def test_signing_keys_change_daily_and_tokens_live_through_it(
    world: World, platform: Platform
) -> None:
    world.clock[0] += 86_400_000 - 60_000
    platform.sign_in()
    before = platform.http.get("/oauth/jwks").json()["keys"]
    world.clock[0] += 120_000
    assert len(platform.http.get("/oauth/jwks").json()["keys"]) == 2
    assert platform.call().is_success
    world.clock[0] += LIFE_S * 1000
    after = platform.http.get("/oauth/jwks").json()["keys"]
    assert len(after) == 1
    assert after != before


def test_a_token_of_another_node_is_refused(platform: Platform, tmp_path) -> None:
    with open_world(tmp_path) as other:
        stranger = other.platform("elsewhere").sign_in()
        stranger.http = platform.http
        stranger.world = platform.world
        assert code(stranger.call()) == "token_refused"


def test_a_revoked_client_is_out_from_its_next_call_on(world: World, platform: Platform) -> None:
    assert platform.call().is_success
    world.access.clients.revoke(platform.client_id, world.clock[0])
    assert code(platform.call()) == "token_refused"
    assert code(platform.ask()) == "client_assertion_refused"


def test_a_key_that_is_rotated_out_signs_until_the_overlap_ends(
    world: World, platform: Platform
) -> None:
    old, new = platform.key, make_key("P-256")
    keys = parse_jwks(key_set(new))
    _, added, ending = world.access.clients.rotate(
        platform.client_id, world.clock[0], keys, 3_600_000
    )
    assert (added, ending) == ([new.thumbprint()], [old.thumbprint()])
    assert platform.call().is_success
    assert platform.ask().is_success
    platform.key = new
    assert platform.ask().is_success
    world.clock[0] += 3_600_000
    platform.key = old
    assert code(platform.ask()) == "client_assertion_refused"
    platform.key = new
    assert platform.sign_in().call().is_success


def test_a_stolen_key_is_rotated_out_at_once_with_its_tokens(
    world: World, platform: Platform
) -> None:
    old, new = platform.key, make_key()
    world.access.clients.rotate(platform.client_id, world.clock[0], parse_jwks(key_set(new)), 0)
    assert code(platform.call()) == "token_refused"
    assert code(platform.ask()) == "client_assertion_refused"
    platform.key = new
    assert platform.sign_in().call().is_success
    with pytest.raises(Exception, match="had one of these keys"):
        world.access.clients.rotate(platform.client_id, world.clock[0], parse_jwks(key_set(old)), 0)


def test_a_plain_token_opens_nothing_unless_the_node_says_so(world: World) -> None:
    from node.access.clients import PlainTokensOff

    with pytest.raises(PlainTokensOff):
        world.access.clients.add("plain", world.clock[0])
    changed = world.settings.model_copy(update={"plain_tokens": True})
    before, world.settings = world.settings, changed
    world.restart()
    _, token = world.access.clients.add(f"plain {secrets.token_hex(4)}", world.clock[0])
    header = {"Authorization": f"Bearer {token}"}
    assert world.http().get("/v1/thing", headers=header).is_success
    wrong = {"Authorization": f"DPoP {token}"}
    assert code(world.http().get("/v1/thing", headers=wrong)) == "token_refused"
    world.settings = before
    world.restart()
    assert code(world.http().get("/v1/thing", headers=header)) == "token_refused"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "DPoP",
        "DPoP a.b.c",
        "DPoP ..",
        "Basic eA==",
        "DPoP " + "x" * 9000,
        "DPoP \u00fc.\u00fc.\u00fc",
    ],
)
def test_what_is_no_token_is_refused_alike(platform: Platform, header: str) -> None:
    answer = platform.http.get("/v1/thing", headers={"Authorization": header.encode("latin-1")})
    assert (answer.status_code, code(answer)) == (401, "token_refused")


def test_a_thief_cannot_fill_the_memory_of_proofs(
    world: World, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only proofs by the token's own key are remembered; when there are too many, nobody passes."""
    monkeypatch.setattr(proofs, "MOST", 2)
    world.restart()
    platform.http = world.http()
    platform.sign_in()
    for _ in range(5):
        by_thief = platform.proof("GET", "/v1/thing", token=platform.token, key=make_key())
        assert code(platform.call(proof=by_thief)) == "dpop_proof_refused"
    assert platform.call().is_success
    full = platform.call()
    assert (full.status_code, code(full)) == (503, "proof_memory_full")


def test_a_proof_is_remembered_for_as_long_as_it_is_valid(
    world: World, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [1000.0]
    monkeypatch.setattr(proofs.time, "monotonic", lambda: at[0])
    remembered = proofs.Proofs(lambda: world.clock[0])
    late = world.clock[0] // 1000 + AHEAD_S  # by a clock that is ahead of ours
    proof = platform.proof("GET", "/v1/thing", iat=late)
    shown = Presented((), (proof,), "GET", (f"{ISSUER}/v1/thing",))
    remembered.check(shown)
    for _ in range(AHEAD_S + PROOF_AGE_S):
        at[0] += 1
        world.clock[0] += 1000
        with pytest.raises(ProofRefused, match="shown before"):
            remembered.check(shown)
    world.clock[0] += 1000
    with pytest.raises(ProofRefused, match="clock"):
        remembered.check(shown)
