"""Access tokens: how a client gets one, and every way in which it does not."""

import base64
import hashlib
import hmac
import json
import time

import pytest
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import KeySet

from protocols.canonical import b64url_encode
from tests.access.world import (
    ASSERTION_TYPE,
    ISSUER,
    PROXY,
    START_MS,
    Platform,
    World,
    jwt,
    make_key,
    public,
    sign,
)

GRANT = "grant_type=client_credentials"


def is_refused(answer, status: int, error: str, code: str) -> bool:
    """The answer is RFC 6749's, with our code."""
    body = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert set(body) == {
        "error", "error_description", "code", "request_id", "retryable", "next_step"
    }  # fmt: skip
    return (answer.status_code, body["error"], body["code"]) == (status, error, code)


@pytest.mark.parametrize("kind", ["Ed25519", "P-256"])
def test_a_client_shows_its_key_and_gets_a_bound_token_of_five_minutes(
    world: World, kind: str
) -> None:
    one = world.platform(f"first {kind}", ("scores:read", "log:read"), kind)
    answer = one.ask(scope="scores:read")
    body = answer.json()
    assert answer.status_code == 200
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("DPoP", 300, "scores:read")
    assert answer.headers["cache-control"] == "no-store"
    one.token = body["access_token"]
    header, claims = (_part(one.token, at) for at in (0, 1))
    assert header["typ"] == "at+jwt"
    assert claims["cnf"] == {"jkt": one.key.thumbprint()}
    assert (claims["iss"], claims["aud"], claims["sub"]) == (ISSUER, ISSUER, one.client_id)
    assert one.call().json() == {"client": one.client_id}


def test_a_token_verifies_with_the_published_keys_by_another_library(platform: Platform) -> None:
    keys = KeySet.import_key_set(platform.http.get("/oauth/jwks").json())
    with pytest.warns(SecurityWarning, match="EdDSA is deprecated"):  # more libraries know it
        assert jws.deserialize_compact(platform.token, keys, algorithms=["EdDSA"])


def test_the_metadata_names_the_configured_address_whoever_asks(world: World) -> None:
    answer = world.http().get(
        "/.well-known/oauth-authorization-server", headers={"Host": "evil.example"}
    )
    found = answer.json()
    assert found["issuer"] == ISSUER
    assert found["token_endpoint"] == f"{ISSUER}/oauth/token"
    assert found["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/oauth/token", [ISSUER]])
def test_an_assertion_may_name_the_issuer_or_the_endpoint(
    world: World, platform: Platform, audience: object
) -> None:
    assert platform.ask(platform.assertion(aud=audience)).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"aud": f"{ISSUER}/"},
        {"aud": f"{ISSUER}/oauth/token/"},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": []},
        {"aud": None},
        {"sub": "cli_other"},
        {"iss": "cli_other"},
        {"iss": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": START_MS // 1000 - 1},
        {"exp": 2**52},
        {"exp": True},
        {"iat": 2**40},
        {"nbf": 2**40},
        {"jti": None},
        {"jti": "short"},
        {"jti": "x" * 129},
        {"jti": 4711_4711},
    ],
)
def test_an_assertion_for_elsewhere_or_of_another_time_is_refused(
    platform: Platform, changes: dict
) -> None:
    """Wrong audience, expired, not yet valid, living too long, without a name of its own."""
    answer = platform.ask(platform.assertion(**changes))
    assert is_refused(answer, 401, "invalid_client", "client_assertion_refused")


def test_an_assertion_is_good_once_also_after_a_restart(world: World, platform: Platform) -> None:
    assertion = platform.assertion()
    assert platform.ask(assertion).status_code == 200
    refused = platform.ask(assertion)
    assert is_refused(refused, 401, "invalid_client", "client_assertion_refused")
    world.restart()
    platform.http = world.http()
    refused = platform.ask(assertion)
    assert is_refused(refused, 401, "invalid_client", "client_assertion_refused")
    world.access.tidy()
    assert not platform.ask(assertion).is_success


def test_no_algorithm_but_that_of_the_key_is_taken(platform: Platform) -> None:
    """`none`, and HS256 with the public key as the secret; in assertions, proofs and tokens."""
    for forged in _forgeries(platform.assertion(), platform):
        assert not platform.ask(forged).is_success
    for forged in _forgeries(platform.proof("POST", "/oauth/token"), platform):
        assert is_refused(
            platform.ask(proof=forged), 400, "invalid_dpop_proof", "dpop_proof_refused"
        )
    for forged in _forgeries(platform.proof("GET", "/v1/thing", token=platform.token), platform):
        assert platform.call(proof=forged).json()["code"] == "dpop_proof_refused"
    token = platform.token
    for forged in _forgeries(token, platform):
        platform.token = forged
        assert platform.call().json()["code"] == "token_refused"
    platform.token = token
    assert platform.call().is_success


def test_an_assertion_by_another_key_or_another_client_is_refused(
    world: World, platform: Platform
) -> None:
    other = world.platform(f"other of {platform.client_id}")
    for stolen in (
        jwt(make_key(), {"kid": platform.key.thumbprint()}, _claims(platform.assertion())),
        jwt(other.key, {"kid": other.key.thumbprint()}, _claims(platform.assertion())),
        jwt(other.key, {"kid": platform.key.thumbprint()}, _claims(platform.assertion())),
        platform.assertion({"kid": "unknown"}),
        platform.assertion({"kid": None}),
        platform.assertion({"typ": "dpop+jwt"}),
        platform.assertion({"crit": ["exp"]}),
    ):
        assert not platform.ask(stolen).is_success
    assert not platform.ask(client_id=other.client_id).is_success


def test_an_access_token_is_no_assertion_and_a_proof_is_none_either(platform: Platform) -> None:
    assert not platform.ask(platform.token).is_success
    assert not platform.ask(platform.proof("POST", "/oauth/token")).is_success
    assert not platform.ask(proof=platform.assertion()).is_success
    platform.token = platform.assertion()
    assert platform.call().status_code == 401


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "invalid_request"),
        ("grant_type", "invalid_request"),
        ("a=1&" * 40, "invalid_request"),
        ("grant_type=password", "unsupported_grant_type"),
        (GRANT, "invalid_client"),
        (f"{GRANT}&{GRANT}", "invalid_request"),
        (f"{GRANT}&client_assertion=x&client_assertion_type={ASSERTION_TYPE}", "invalid_client"),
        ("grant_type=%ff", "invalid_request"),
    ],
)
def test_a_token_request_of_the_wrong_form_says_which(world: World, body: str, error: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = world.http().post("/oauth/token", content=body, headers=headers)
    assert answer.json()["error"] == error


def test_a_token_request_that_is_too_large_or_deep_is_refused_before_it_is_parsed(
    platform: Platform,
) -> None:
    """An oversized JWT, a deep one, and one with a key of a thousand digits, at once."""
    began = time.process_time()
    deep = '{"a":' * 400 + "1" + "}" * 400
    named = json.dumps({"alg": "EdDSA", "kid": platform.key.thumbprint()})
    for text in (
        platform.assertion(pad="x" * 5000),
        sign(platform.key, named, deep),
        sign(platform.key, deep, "{}"),
        sign(platform.key, named, "9" * 2000),
        ".." + "A" * 50,
    ):
        assert is_refused(platform.ask(text), 401, "invalid_client", "client_assertion_refused")
        proof = platform.ask(proof=text)
        assert is_refused(proof, 400, "invalid_dpop_proof", "dpop_proof_refused")
    assert platform.ask("x" * 70_000).status_code == 413
    assert time.process_time() - began < 2


def test_a_scope_the_client_does_not_have_is_not_given(platform: Platform) -> None:
    answer = platform.ask(scope="scores:read webhooks:write")
    assert is_refused(answer, 400, "invalid_scope", "scope_refused")
    platform.sign_in(scope="outcomes:write")
    problem = platform.call()
    assert (problem.status_code, problem.json()["code"]) == (403, "scope_missing")
    assert 'error="insufficient_scope"' in problem.headers["www-authenticate"]


def test_without_a_proof_or_a_certificate_there_is_no_token(platform: Platform) -> None:
    assert is_refused(platform.ask(proof=None), 400, "invalid_dpop_proof", "dpop_proof_refused")


def test_a_certificate_binds_a_token_when_a_proxy_of_ours_tells_it(world: World) -> None:
    """RFC 8705 by RFC 9440: the header counts from a configured proxy alone."""
    one = world.platform("behind a proxy")
    certificate = base64.b64encode(b"a certificate").decode()
    headers = {"Client-Cert": f":{certificate}:"}
    outside = one.ask(proof=None)
    assert outside.status_code == 400
    one.http.headers.update(headers)
    assert one.ask(proof=None).status_code == 400  # not from the proxy: nobody heard it
    one.http = world.http(PROXY)
    one.http.headers.update(headers)
    answer = one.ask(proof=None)
    assert answer.json()["token_type"] == "Bearer"
    token = answer.json()["access_token"]
    digest = b64url_encode(hashlib.sha256(b"a certificate").digest())
    assert _part(token, 1)["cnf"] == {"x5t#S256": digest}
    bearer = {"Authorization": f"Bearer {token}"}
    assert one.http.get("/v1/thing", headers=bearer).is_success
    for stolen in (
        one.http.get("/v1/thing", headers=bearer | {"Client-Cert": ":AAAA:"}),
        one.http.get("/v1/thing", headers=bearer | {"Client-Cert": certificate}),
        one.http.get("/v1/thing", headers=bearer | {"Client-Cert": ":A:"}),
        one.http.get("/v1/thing", headers={"Authorization": f"DPoP {token}"}),
        world.http().get("/v1/thing", headers=bearer | headers),
        world.http(PROXY).get("/v1/thing", headers=bearer),
    ):
        assert stolen.json()["code"] == "token_refused"


def test_every_token_and_every_refusal_is_in_the_log(world: World) -> None:
    before = world.node.audit.head().size
    one = world.platform("logged")
    one.sign_in()
    one.ask(one.assertion(aud="https://other.example"))
    assert world.kinds(before) == ["client.added", "client.token_issued", "client.refused"]


def _part(token: str, at: int) -> dict:
    text = token.split(".")[at]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def _claims(token: str) -> dict:
    return _part(token, 1)


def _forgeries(token: str, platform: Platform) -> list[str]:
    """A token with its claims, under algorithms that would believe anybody."""
    header, body = _part(token, 0), token.split(".")[1]
    unsigned = b64url_encode(json.dumps(header | {"alg": "none"}).encode())
    symmetric = b64url_encode(json.dumps(header | {"alg": "HS256"}).encode())
    x = public(platform.key)["x"]
    secrets = (base64.urlsafe_b64decode(x + "="), x.encode(), json.dumps(header).encode())
    macs = [
        b64url_encode(hmac.digest(secret, f"{symmetric}.{body}".encode(), "sha256"))
        for secret in secrets
    ]
    other_family = b64url_encode(json.dumps(header | {"alg": "ES256"}).encode())
    signature = token.split(".")[2]
    return [
        f"{unsigned}.{body}.",
        f"{unsigned}.{body}.{signature}",
        *(f"{symmetric}.{body}.{mac}" for mac in macs),
        f"{other_family}.{body}.{signature}",
        token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
    ]
