"""The application of a bank that scores, called over ASGI by a client of the SDK with a key."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from api.http.app import create_app
from api.sdk import Client, ClientKey, Identity
from protocols.jose import parse_jwk
from tests.network import now_ms
from tests.node.scoring_world import World, open_world
from tests.support import loops

URL = "http://localhost:8000"
SCOPES = ("scores:read", "scores:write", "webhooks:write", "log:read")


class Bridge(httpx.BaseTransport):
    """ASGI for a synchronous client."""

    def __init__(self, app: FastAPI) -> None:
        self._asgi = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def run() -> httpx.Response:
            answer = await self._asgi.handle_async_request(request)
            body = await answer.aread()
            return httpx.Response(answer.status_code, headers=answer.headers, content=body)

        return loops.run(run())


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("sdk")) as opened:
        yield opened


@pytest.fixture(scope="session")
def app(world: World) -> FastAPI:
    return create_app(world.node)


@pytest.fixture(scope="session")
def who(world: World) -> Identity:
    key = ClientKey.generate()
    row = world.clients.add_with_keys("sdk", now_ms(), [parse_jwk(key.public_jwk)], SCOPES)
    return Identity(row.client_id, key)


@pytest.fixture
def client(app: FastAPI, who: Identity) -> Iterator[Client]:
    with Client(URL, who, transport=Bridge(app)) as opened:
        yield opened
