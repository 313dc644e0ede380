"""An httpx client over an ASGI application in this process, from an address that a test chooses."""

import httpx
from starlette.types import ASGIApp

from tests.support.loops import run


class InProcess(httpx.BaseTransport):
    """Each request runs in an event loop of its own, so that threads may send side by side."""

    def __init__(self, app: ASGIApp, address: str = "127.0.0.1") -> None:
        self._transport = httpx.ASGITransport(app, client=(address, 40000))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, and read its answer to the end."""
        return run(self._whole(request))

    async def _whole(self, request: httpx.Request) -> httpx.Response:
        sent = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        answer = await self._transport.handle_async_request(sent)
        body = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


def client_of(app: ASGIApp, base_url: str, address: str = "127.0.0.1") -> httpx.Client:
    """A browser without a page: keeps cookies, follows no redirect."""
    return httpx.Client(
        transport=InProcess(app, address), base_url=base_url, follow_redirects=False
    )
