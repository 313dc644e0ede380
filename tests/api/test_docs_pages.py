"""`/docs`: a page for every operation, nothing from elsewhere, in three languages."""

import re

import httpx
import pytest
from fastapi import FastAPI

from api.http.app import create_app
from api.http.faces import faces_of
from api.http.openapi import messages, operations
from api.http.web.headers import PAGE_HEADERS
from tests.node.scoring_world import World
from tests.support import loops

FROM = re.compile(r'(?:src|href|action)="([^"]*)"')


@pytest.fixture(scope="module")
def app(world: World) -> FastAPI:
    return create_app(world.node, faces=faces_of(world.node))


def get(app: FastAPI, *paths: str, **headers: str) -> list[httpx.Response]:
    """Pages, one after the other."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return [await client.get(path, headers=headers) for path in paths]

    return loops.run(run())


def test_every_operation_has_a_page_that_loads_nothing_from_elsewhere(app: FastAPI) -> None:
    """The reference works without any other server, under the policy of every page."""
    named = [one["operationId"] for _, _, one in operations(app.openapi())]
    named += [one["operationId"] for _, _, one in messages(app.openapi())]
    pages = get(app, "/docs", *(f"/docs/{name}" for name in named))
    for page in pages:
        assert page.status_code == 200
        assert page.headers["content-security-policy"] == PAGE_HEADERS["Content-Security-Policy"]
        assert all(one.startswith(("/", "#", "?")) for one in FROM.findall(page.text))
        assert "<style" not in page.text
        assert " style=" not in page.text
    assert all(f'href="/docs/{name}"' in pages[0].text for name in named)
    score = pages[1 + named.index("createScore")].text
    assert "curl -X POST" in score
    assert "calls.create_score(" in score
    assert "consent_withdrawn" in score
    told = pages[1 + named.index("onMonitorScoreDrop")].text
    assert "verify_webhook(" in told
    assert "curl" not in told
    assert "webhook-signature" in told


@pytest.mark.parametrize(
    ("tag", "title"), [("en", "API reference"), ("zh-Hans", "接口文档"), ("zh-Hant", "介面文件")]
)
def test_the_pages_own_words_are_in_the_readers_language(
    app: FastAPI, tag: str, title: str
) -> None:
    (page,) = get(app, "/docs/", **{"Accept-Language": tag})
    assert f'<html lang="{tag}">' in page.text
    assert f"<h1>{title}</h1>" in page.text


def test_what_is_no_operation_is_a_page_that_says_so(app: FastAPI) -> None:
    pages = get(app, "/docs/nothing", "/docs/%3Cscript%3E", "/docs/a/b", Host='a"><script>b')
    for page in pages:
        assert page.status_code == 404
        assert "<script>" not in page.text
