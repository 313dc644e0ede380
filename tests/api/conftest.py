"""The HTTP application over a bank that scores, served for real on loopback."""

from collections.abc import Iterator

import httpx
import pytest

from api.http.app import create_app
from api.http.server import HttpServer
from tests.network import now_ms
from tests.node.scoring_world import World, open_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture(scope="session")
def token(world: World) -> str:
    return world.clients.add("platform", now_ms())[1]


@pytest.fixture(scope="session")
def url(world: World) -> Iterator[str]:
    server = HttpServer(create_app(world.node), "127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client


@pytest.fixture
def caller(http: httpx.Client, token: str) -> httpx.Client:
    """A client that sends its token."""
    http.headers["Authorization"] = f"Bearer {token}"
    return http
