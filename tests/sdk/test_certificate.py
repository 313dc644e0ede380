"""Tokens bound to the client's certificate (RFC 8705), which a proxy of the node's tells it."""

import json
from base64 import b64encode
from collections.abc import Iterator

import httpx
import pytest

from api.sdk import Client, ClientKey, Identity
from api.sdk.errors import AnswerMalformed, NotAuthenticated
from api.sdk.wire import Call, HttpAnswer
from protocols.jose import parse_jwk
from tests.access.world import ISSUER, PROXY, World, open_world
from tests.sdk.scripted import KEY, Scripted, token
from tests.support.asgi import InProcess


def _read(answer: HttpAnswer) -> str:
    return str(json.loads(answer.body)["client"])


THING = Call("readThing", "GET", "/v1/thing", _read)


class Proxy(httpx.BaseTransport):
    """Ends TLS: tells the node whose certificate it saw."""

    def __init__(self, world: World, certificate: bytes) -> None:
        self.seen: list[httpx.Request] = []
        self.certificate = certificate
        self._node = InProcess(world.app, PROXY)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        request.headers["Client-Cert"] = f":{b64encode(self.certificate).decode()}:"
        return self._node.handle_request(request)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("certificate")) as opened:
        yield opened


def test_the_sdk_shows_a_token_that_is_bound_to_its_certificate(world: World) -> None:
    """No proof is sent; another certificate opens nothing with the same token."""
    key = ClientKey.generate()
    keys = [parse_jwk(key.public_jwk)]
    row = world.access.clients.add_with_keys("mTLS", world.clock[0], keys, ("scores:read",))
    who = Identity(row.client_id, key, certificate=True)
    proxy = Proxy(world, b"ours")
    with Client(ISSUER, who, transport=proxy) as client:
        client.core._clock = lambda: world.clock[0] / 1000
        assert client.make(THING) == row.client_id
        assert client.make(THING) == row.client_id
        assert [one.url.path for one in proxy.seen] == ["/oauth/token", "/v1/thing", "/v1/thing"]
        assert not any("dpop" in one.headers for one in proxy.seen)
        assert proxy.seen[-1].headers["authorization"].startswith("Bearer ")
        stolen = proxy.seen[-1].headers["authorization"].removeprefix("Bearer ")
    with (
        Client(ISSUER, stolen, transport=Proxy(world, b"theirs")) as thief,
        pytest.raises(NotAuthenticated),
    ):
        thief.make(THING)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_token_that_is_bound_otherwise_than_asked_for_is_not_shown(kind: str) -> None:
    node = Scripted([token()])  # of type DPoP
    with pytest.raises(AnswerMalformed):
        node.make(kind, THING, Identity("cli_one", KEY, certificate=True))
    assert len(node.requests) == 1
