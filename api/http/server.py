"""Runs the HTTP API in threads of its own beside a node's other servers (uvicorn).

uvicorn waits for ever for a header that trickles in. `HeaderDeadline` closes such a connection:
from the first byte of a request its headers have a fixed time to be complete.
"""

import asyncio
import socket
import threading
import time
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from protocols.errors import PortInUse, Unavailable

HEADER_DEADLINE_S = 10.0
KEEP_ALIVE_S = 30
CONCURRENT_REQUESTS = 512
BACKLOG = 1024


class HeaderDeadline(H11Protocol):
    """HTTP/1.1 on one connection, with a deadline for each request's headers."""

    header_deadline_s = HEADER_DEADLINE_S
    _headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection that says nothing at all is cut off too."""
        super().connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Bytes came: start the clock when a request begins, stop it when its headers end."""
        if self._between_requests():
            self._arm()
        super().data_received(data)
        if not self._between_requests():
            self._disarm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._disarm()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _arm(self) -> None:
        if self._headers_due is None:
            self._headers_due = self.loop.call_later(self.header_deadline_s, self._cut)

    def _disarm(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _cut(self) -> None:
        self._headers_due = None
        if not self.transport.is_closing():
            self.transport.close()


class HttpServer:
    """An ASGI application served at `host:port` until `stop()`."""

    def __init__(
        self,
        app: ASGIApp,
        listen: str,
        *,
        header_deadline_s: float = HEADER_DEADLINE_S,
    ) -> None:
        """Bind the port at once, so that a taken one is an error before anything runs.

        Raises:
            PortInUse: another process listens there.
        """
        self._socket = _bound(listen)
        protocol = type("Protocol", (HeaderDeadline,), {"header_deadline_s": header_deadline_s})
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONCURRENT_REQUESTS,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=5,
            )
        )
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port that was bound (of interest when 0 was asked for)."""
        name: Any = self._socket.getsockname()
        return int(name[1])

    def start(self, timeout_s: float = 10.0) -> None:
        """Serve; returns when requests are answered.

        Raises:
            Unavailable: the server did not come up in time.
        """
        self._thread.start()
        deadline = time.monotonic() + timeout_s
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise Unavailable("the HTTP server did not start")
            time.sleep(0.005)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Let running requests end, then close."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _bound(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
    except OSError as error:
        listener.close()
        raise PortInUse(f"cannot listen on {listen} for HTTP: {error.strerror}") from error
    listener.listen(BACKLOG)
    return listener
