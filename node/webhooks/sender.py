"""One attempt to deliver: an HTTPS POST, bounded in time and size, without redirects.

The connection is made here and not by a client library: it goes to the address that was checked,
the certificate is checked against the name, and the whole attempt, not each read, ends in time
(who sends a header a byte a second would otherwise keep a thread for hours).
"""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from threading import Timer

from node.webhooks.addresses import Guard, HostUnknown, Target, UrlRefused
from protocols.errors import HomeUnusable

TIMEOUT_S = 10.0
MAX_RETRY_AFTER_S = 3600
USER_AGENT = "credence-webhooks/1"
GONE = 410


@dataclass(frozen=True, slots=True)
class Attempted:
    """What one attempt came to.

    Attributes:
        status: of HTTP; None: no answer.
        failure: stable code; empty: it was taken.
        ms: how long it took.
        retry_after_s: what the endpoint asks for, 0: nothing.
    """

    status: int | None
    failure: str
    ms: int
    retry_after_s: int = 0

    @property
    def gone(self) -> bool:
        """Whether the endpoint says that it wants nothing any more."""
        return self.status == GONE


class Sender:
    """Sends; thread-safe."""

    def __init__(
        self, guard: Guard, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None
    ) -> None:
        """Send to what `guard` lets through, trusting `tls` (None: the system's authorities)."""
        self._guard = guard
        self._timeout_s = timeout_s
        self._given = tls

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given or ssl.create_default_context()

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempted:
        """Make one attempt; every failure is in what is returned."""
        began = time.monotonic()
        status: int | None = None
        retry_after_s = 0
        try:
            target = self._guard.check(url)
            status, retry_after_s = self._post(target, headers, body)
            failure = "" if 200 <= status < 300 else _refused(status)
        except (UrlRefused, HostUnknown) as error:
            failure = error.code
        except ssl.SSLError:
            failure = "tls_failed"
        except (HTTPException, OSError, ValueError):
            failure = "unreachable"
        ms = int((time.monotonic() - began) * 1000)
        if failure in {"unreachable", "tls_failed"} and ms >= self._timeout_s * 1000:
            failure = "timeout"
        return Attempted(status, failure, ms, retry_after_s)

    def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> tuple[int, int]:
        with self._connected(target) as connection:
            connection.putrequest("POST", target.path, skip_host=True, skip_accept_encoding=True)
            for name, value in {
                "host": target.authority,
                "content-type": "application/json",
                "content-length": str(len(body)),
                "user-agent": USER_AGENT,
                "connection": "close",
                **headers,
            }.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            # The status is all there is to know: the answer's body is never read.
            answer: HTTPResponse = connection.getresponse()
            return answer.status, _retry_after(answer.getheader("retry-after") or "")

    @contextmanager
    def _connected(self, target: Target) -> Iterator[HTTPConnection]:
        began = time.monotonic()
        line = socket.create_connection((target.address, target.port), self._timeout_s)
        with line:
            if target.scheme == "https":
                line = self._tls.wrap_socket(
                    line, server_hostname=target.host, do_handshake_on_connect=False
                )
            with line, _ends(line, self._timeout_s - (time.monotonic() - began)):
                if isinstance(line, ssl.SSLSocket):
                    line.do_handshake()
                connection = HTTPConnection(target.host, target.port)
                connection.sock = line
                yield connection


def trusting(authorities: Path) -> ssl.SSLContext:
    """Checks certificates against the system's authorities and those in a PEM file.

    Raises:
        HomeUnusable: the file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(authorities)
    except OSError as error:  # of its contents too
        raise HomeUnusable(
            f"the authorities of webhook_ca_file cannot be read ({error.strerror})",
            next_step="Give a PEM file of certificates, or take the setting out.",
        ) from error
    return context


@contextmanager
def _ends(line: socket.socket, after_s: float) -> Iterator[None]:
    """Cut `line` when the block takes longer."""

    def cut() -> None:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = Timer(max(0.0, after_s), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _refused(status: int) -> str:
    return "redirected" if 300 <= status < 400 else "refused"


def _retry_after(text: str) -> int:
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return min(seconds, MAX_RETRY_AFTER_S)
