"""What the SDK makes of answers: tokens, proofs, repetitions, results and errors."""

from urllib.parse import parse_qs

import httpx
import pytest

from api.sdk import Patience, calls
from api.sdk.errors import (
    AnswerMalformed,
    ConsentRefused,
    IdempotencyConflict,
    Missing,
    NodeUnavailable,
    NotAuthenticated,
    RateLimited,
    SubjectFrozen,
    Unreachable,
)
from protocols.canonical import b64url_encode, sha256
from protocols.jose import Compact, parse_jwk
from protocols.oauth import check_assertion, check_proof, proof_key
from tests.sdk.scripted import BOTH, KEY, URL, WHO, Scripted, claims, problem, token

LEAF = {"seq": 7, "leaf": "{}", "leaf_hash": "0" * 64}


def leaf() -> httpx.Response:
    return httpx.Response(200, json=LEAF)


@pytest.mark.parametrize("kind", BOTH)
def test_a_call_obtains_a_token_with_a_signed_assertion_and_shows_it_with_a_proof(kind) -> None:
    node = Scripted([token(), leaf(), leaf()])
    first, second = node.session(kind, [calls.log_leaf(7), calls.log_leaf(7)])
    assert first == second
    asked, called, _ = node.requests  # one token for two calls
    form = {name: value[0] for name, value in parse_qs(asked.content.decode()).items()}
    now = claims(form["client_assertion"])[1]["iat"]
    key = parse_jwk(KEY.public_jwk)
    assertion = Compact.parse(form["client_assertion"], max_bytes=4096)
    check_assertion(assertion, key, WHO.client_id, {URL}, now)
    for request, method, value in ((asked, "POST", None), (called, "GET", "token-1")):
        proof = Compact.parse(request.headers["dpop"], max_bytes=4096)
        shown, algorithm = proof_key(proof)
        assert shown.thumbprint == KEY.thumbprint
        check_proof(proof, shown, algorithm, method=method, addresses={str(request.url)},
                    token=value, now_s=now)  # fmt: skip
    assert called.headers["authorization"] == "DPoP token-1"


@pytest.mark.parametrize("kind", BOTH)
def test_a_server_that_wants_its_nonce_is_given_it_once(kind) -> None:
    wants = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "n-1"}
    node = Scripted([token(), problem(401, "dpop_proof_refused", **wants), leaf()])
    node.make(kind, calls.log_leaf(7))
    assert claims(node.requests[-1].headers["dpop"])[1]["nonce"] == "n-1"
    assert not node.pauses


@pytest.mark.parametrize("kind", BOTH)
def test_a_token_that_is_refused_is_replaced_once(kind) -> None:
    node = Scripted([token(), problem(401, "token_refused"), token("token-2"), leaf()])
    node.make(kind, calls.log_leaf(7))
    assert node.requests[-1].headers["authorization"] == "DPoP token-2"
    again = [token(), problem(401, "token_refused"), token(), problem(401, "token_refused")]
    with pytest.raises(NotAuthenticated):
        Scripted(again).make(kind, calls.log_leaf(7))


@pytest.mark.parametrize("kind", BOTH)
def test_a_busy_node_is_asked_again_with_the_same_idempotency_key(kind) -> None:
    busy = [httpx.ConnectError("no"), problem(503, "database_unavailable"),
            problem(429, "rate_limited", **{"Retry-After": "2"})]  # fmt: skip
    node = Scripted([token(), *busy, problem(403, "consent_withdrawn")])
    with pytest.raises(ConsentRefused) as refused:
        node.make(kind, calls.create_score("sub_a", "con_a"))
    assert refused.value.problem == "consent_withdrawn"
    keys = {request.headers["idempotency-key"] for request in node.requests[1:]}
    assert len(keys) == 1
    assert len(node.pauses) == 3
    assert node.pauses[2] == 2.0 > node.pauses[1] > 0


def test_what_would_do_more_by_being_sent_twice_is_sent_once() -> None:
    call = calls.update_webhook_endpoint("whe_a", state="active")
    node = Scripted([token(), problem(503, "database_unavailable")])
    with pytest.raises(NodeUnavailable):
        node.make("sync", call)
    assert len(node.requests) == 2


def test_who_asks_for_a_longer_pause_than_the_longest_is_waited_for_by_the_caller() -> None:
    node = Scripted([token(), problem(429, "quota_exceeded", **{"Retry-After": "3600"})])
    with pytest.raises(RateLimited) as limited:
        node.make("sync", calls.log_leaf(7))
    assert limited.value.retry_after_s == 3600
    assert not node.pauses


def test_a_node_that_never_answers_is_unreachable_after_all_attempts() -> None:
    node = Scripted([httpx.ConnectError("no")] * 3)
    with pytest.raises(Unreachable):
        node.make("sync", calls.log_leaf(7), patience=Patience(attempts=3))
    assert len(node.requests) == 3


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "uses_exhausted", ConsentRefused),
        (403, "subject_frozen", SubjectFrozen),
        (404, "subject_unknown", Missing),
        (422, "idempotency_key_reused", IdempotencyConflict),
        (500, "internal", NodeUnavailable),
    ],
)
def test_a_problem_is_an_error_of_its_kind(status, code, kind) -> None:
    node = Scripted([problem(status, code)])
    with pytest.raises(kind) as refused:
        node.make("sync", calls.log_leaf(7), who="plain")
    assert (refused.value.status, refused.value.problem) == (status, code)
    assert refused.value.request_id == "req_1"
    assert refused.value.next_step == "do"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"seq": "7"}', b"{}", b"[" * 100_000, b'{"seq": true}']
)
def test_an_answer_of_another_form_is_an_error_of_ours(body: bytes) -> None:
    node = Scripted([httpx.Response(200, content=body)])
    with pytest.raises(AnswerMalformed):
        node.make("sync", calls.log_leaf(7), who="plain")


def test_what_an_answer_says_more_is_passed_over() -> None:
    node = Scripted([httpx.Response(200, json={**LEAF, "new": {"deep": [1]}})])
    assert node.make("sync", calls.log_leaf(7), who="plain").seq == 7


def test_a_path_cannot_be_left_by_an_argument() -> None:
    node = Scripted([leaf()])
    with pytest.raises(AnswerMalformed):
        node.make("sync", calls.get_score("../log/leaves?x=#"), who="plain")
    assert node.requests[0].url.raw_path == b"/v1/scores/..%2Flog%2Fleaves%3Fx%3D%23"


def test_a_token_that_is_not_bound_to_our_key_is_not_taken() -> None:
    bearer = httpx.Response(
        200, json={"access_token": "t", "token_type": "Bearer", "expires_in": 300}
    )
    with pytest.raises(AnswerMalformed):
        Scripted([bearer]).make("sync", calls.log_leaf(7))


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    jwk = KEY.public_jwk
    text = f'{{"crv":"Ed25519","kty":"OKP","x":"{jwk["x"]}"}}'
    assert KEY.thumbprint == b64url_encode(sha256(text.encode()))
