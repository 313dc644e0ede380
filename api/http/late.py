"""The pages of a node, loaded when it serves already.

Templates, words and the routes of three consoles take as long to load as the rest of a serving
process. Platforms that call the API do not wait for them: the pages are loaded in a thread once
the API answers, or by whoever asks for one before that.
"""

import asyncio
import gc
import threading
from collections.abc import Callable, Sequence

import structlog
from fastapi import APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.server import HttpServer

HEAD_START_S = 0.25  # of the API, before its pages are loaded

_log = structlog.get_logger(__name__)


class LatePages:
    """Answers every address that the API does not know, inside its application."""

    def __init__(self, make: Callable[[], Sequence[APIRouter]]) -> None:
        """Nothing is loaded yet.

        Args:
            make: imports and makes the routers, for example `api.http.faces.faces_of` of a node.
        """
        self._make = make
        self._lock = threading.Lock()
        self._router: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a page, or that there is none; waits until they are loaded."""
        router = self._router
        if router is None:
            router = await asyncio.to_thread(self.load)
        await router(scope, receive, send)

    def load(self) -> ASGIApp:
        """Load the pages unless they are; one thread does."""
        with self._lock:
            if self._router is None:
                router = APIRouter()
                for one in self._make():
                    router.routes.extend(one.routes)
                self._router = router
            return self._router


class NodeFace:
    """The HTTP face of a node: the API at once, its pages soon after.

    Loading keeps the interpreter busy. It begins a moment later, so that who waited for this
    process, a supervisor's health check first of all, does not wait for pages too.
    """

    def __init__(self, server: HttpServer, late: LatePages) -> None:
        self._server = server
        self._late = late
        self._stopping = threading.Event()
        self._loader = threading.Thread(target=self._load, name="pages", daemon=True)

    def start(self) -> None:
        """Serve the API, then load the pages beside it."""
        self._server.start()
        self._loader.start()

    def stop(self) -> None:
        """Let running calls end, then close."""
        self._stopping.set()
        self._server.stop()
        if self._loader.is_alive():
            self._loader.join()

    def _load(self) -> None:
        if self._stopping.wait(HEAD_START_S):
            return
        try:
            self._late.load()
        except Exception as error:  # noqa: BLE001 - the API serves on; who asks for a page is told
            _log.error("pages.not_loaded", error=type(error).__name__)
        settle()


def settle() -> None:
    """Set aside what start-up made: it lives as long as the process, and is not searched again.

    A full collection looks at every object there is, with the interpreter to itself; in a started
    node that takes a tenth of a second, in the middle of somebody's call.
    """
    gc.collect()
    gc.freeze()
