"""Who may call the API: clients, tokens, scopes."""

import hashlib

import httpx
import pytest

from node.access.clients import ClientExists
from node.access.presented import Presented, TokenRefused
from node.storage import clients
from protocols.errors import InvalidInput, NotFound
from tests.api.test_scores import body_for, is_problem
from tests.network import now_ms
from tests.node.scoring_world import World


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer nobody.nothing",
        "Basic dXNlcjpwYXNz",
        "Bearer " + "x" * 5000,
        "Bearer cli_\u00fc.x".encode("latin-1"),
    ],
)
def test_without_a_valid_token_nothing_is_said(
    world: World, http: httpx.Client, header: str | bytes | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = http.post("/v1/scores", json=body_for(world), headers=headers)
    assert is_problem(answer, 401, "token_refused")
    assert answer.headers["www-authenticate"].startswith('DPoP error="invalid_token"')


def test_a_token_with_one_letter_changed_is_refused(world: World, token: str) -> None:
    assert world.clients.recognise(Presented.bearer(token)).name == "platform"
    other = token[:-1] + ("A" if token[-1] != "A" else "B")
    with pytest.raises(TokenRefused):
        world.clients.recognise(Presented.bearer(other))
    with pytest.raises(TokenRefused):
        world.clients.recognise(Presented.bearer(token + "A"))


def test_a_revoked_client_is_out_at_its_next_call(world: World, http: httpx.Client) -> None:
    row, token = world.clients.add("short-lived", now_ms())
    http.headers["Authorization"] = f"Bearer {token}"
    assert http.post("/v1/scores", json=body_for(world)).status_code == 201
    world.clients.revoke("short-lived", now_ms())
    assert is_problem(http.post("/v1/scores", json=body_for(world)), 401, "token_refused")
    with pytest.raises(NotFound):
        world.clients.revoke(row.client_id, now_ms())


def test_a_client_that_another_process_revoked_is_given_no_score(
    world: World, http: httpx.Client
) -> None:
    """Its row may be one of a moment ago; the score's own transaction asks again."""
    row, token = world.clients.add("revoked-elsewhere", now_ms())
    http.headers["Authorization"] = f"Bearer {token}"
    assert http.post("/v1/scores", json=body_for(world)).status_code == 201
    with world.node.database.write() as connection:
        clients.revoke(connection, row.client_id, now_ms())
    assert is_problem(http.post("/v1/scores", json=body_for(world)), 401, "token_refused")
    assert is_problem(http.post("/v1/scores", json=body_for(world)), 401, "token_refused")


def test_a_scope_that_is_missing_is_named(world: World, http: httpx.Client) -> None:
    _, token = world.clients.add("reader", now_ms(), ["scores:read"])
    http.headers["Authorization"] = f"Bearer {token}"
    answer = http.post("/v1/scores", json=body_for(world))
    assert is_problem(answer, 403, "scope_missing")
    assert "scores:write" in answer.json()["detail"]


def test_one_client_does_not_see_the_scores_of_another(world: World, caller: httpx.Client) -> None:
    made = caller.post("/v1/scores", json=body_for(world))
    _, token = world.clients.add("competitor", now_ms())
    answer = caller.get(made.headers["location"], headers={"Authorization": f"Bearer {token}"})
    assert is_problem(answer, 404, "score_unknown")


def test_the_token_is_kept_only_as_its_hash(world: World) -> None:
    row, token = world.clients.add("careful", now_ms())
    secret = token.partition(".")[2]
    assert len(secret) >= 43  # 256 bits
    with world.node.database.read() as connection:
        stored = clients.find(connection, row.client_id)
    assert stored is not None
    assert stored.token_sha256 == hashlib.sha256(secret.encode()).digest()
    files = [path.read_bytes() for path in world.node.home.glob("*") if path.is_file()]
    assert not any(secret.encode() in content for content in files)


def test_a_name_is_given_once_even_after_revocation(world: World) -> None:
    world.clients.add("once", now_ms())
    world.clients.revoke("once", now_ms())
    with pytest.raises(ClientExists):
        world.clients.add("once", now_ms())


@pytest.mark.parametrize(
    ("name", "scopes"),
    [("", ["scores:read"]), ("a\nb", ["scores:read"]), ("x", ["admin"]), ("x", [])],
)
def test_a_client_of_the_wrong_form_is_refused(world: World, name: str, scopes: list[str]) -> None:
    with pytest.raises(InvalidInput):
        world.clients.add(name, now_ms(), scopes)
