"""What is refused before anything parses it, on raw sockets."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
import structlog
from fastapi import FastAPI

from api.http import problems
from api.http.limits import BodyLimits, LimitedBodies
from api.http.requests import RequestContext
from api.http.server import HttpServer
from protocols.errors import CredenceError, PortInUse, Unavailable
from tests.api.test_scores import is_problem

LIMITS = BodyLimits(max_bytes=1000, deadline_s=0.3)


def make_app() -> FastAPI:
    app = FastAPI(openapi_url=None)
    problems.install(app)

    @app.post("/echo")
    def echo(body: dict[str, object]) -> dict[str, object]:
        return body

    @app.get("/broken/{secret}")
    def broken(secret: str) -> None:
        raise ValueError(f"account {secret} of a person")

    @app.get("/internal")
    def internal() -> None:
        raise CredenceError("key 0xdeadbeef is lost")

    @app.get("/later")
    def later() -> None:
        raise Unavailable("not now")

    app.add_middleware(LimitedBodies, limits=LIMITS)
    app.add_middleware(RequestContext)
    return app


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    opened = HttpServer(make_app(), "127.0.0.1:0", header_deadline_s=0.3)
    opened.start()
    yield opened
    opened.stop()


@pytest.fixture
def http(server: HttpServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=10) as client:
        yield client


def raw(server: HttpServer, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send pieces with pauses; all that comes back until the server closes or says enough."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause_s)
        connection.settimeout(5)
        received = b""
        while True:
            try:
                data = connection.recv(65536)
            except ConnectionResetError:
                return received
            received += data
            if not data or b"}" in received:
                return received


def test_a_small_body_passes_whole_or_in_chunks(http: httpx.Client) -> None:
    assert http.post("/echo", json={"a": 1}).json() == {"a": 1}
    chunks = iter([b'{"a"', b":", b"1}"])
    answer = http.post("/echo", content=chunks, headers={"Content-Type": "application/json"})
    assert answer.json() == {"a": 1}


def test_a_body_declared_too_large_is_refused_unread(server: HttpServer) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for length in (b"1001", b"300000000", b"9" * 30):
        answer = raw(server, head + b"Content-Length: " + length + b"\r\n\r\n")
        assert b" 413 " in answer.split(b"\r\n")[0] or b" 400 " in answer.split(b"\r\n")[0]


def test_a_body_that_turns_out_too_large_is_cut_off(http: httpx.Client) -> None:
    endless = (b" " * 100 for _ in range(1000))
    answer = http.post("/echo", content=endless, headers={"Content-Type": "application/json"})
    assert is_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "", "multipart/form-data"]
)
def test_an_unknown_content_type_is_refused(http: httpx.Client, content_type: str) -> None:
    answer = http.post("/echo", content=b"{}", headers={"Content-Type": content_type})
    assert is_problem(answer, 415, "content_type_unknown")


def test_json_with_a_charset_is_json(http: httpx.Client) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert http.post("/echo", content=b"{}", headers=headers).json() == {}


def test_a_body_that_trickles_in_is_given_up(server: HttpServer) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    began = time.monotonic()
    answer = raw(server, head + b"Content-Length: 10\r\n\r\n", b'{"a"', pause_s=0.1)
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert time.monotonic() - began < 3


def test_a_header_that_trickles_in_is_cut_off(server: HttpServer) -> None:
    began = time.monotonic()
    assert raw(server, b"GET /later HTTP/1.1\r\n", b"Host: x\r\n", pause_s=0.1) == b""
    assert raw(server) == b""  # a connection that says nothing at all
    assert time.monotonic() - began < 5


def test_a_second_header_that_trickles_on_a_kept_connection_is_cut_off(server: HttpServer) -> None:
    whole = b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(whole)
        assert b" 503 " in connection.recv(65536)
        connection.sendall(b"GET /later HT")
        rest = b""
        while data := connection.recv(65536):
            rest += data
    assert b"HTTP/1.1 503" not in rest


def test_a_handler_may_take_longer_than_headers_may(http: httpx.Client) -> None:
    for _ in range(3):  # the deadline is off while nothing is being read
        assert http.get("/later").status_code == 503
        time.sleep(0.2)


def test_a_failure_nobody_foresaw_is_a_bare_problem(http: httpx.Client) -> None:
    answer = http.get("/broken/4711")
    assert is_problem(answer, 500, "internal")
    assert "4711" not in answer.text
    assert "ValueError" not in answer.text


def test_an_internal_error_keeps_its_detail_to_itself(http: httpx.Client) -> None:
    answer = http.get("/internal")
    assert is_problem(answer, 500, "internal")
    assert "deadbeef" not in answer.text


def test_what_may_be_repeated_says_so(http: httpx.Client) -> None:
    assert http.get("/later").json()["retryable"] is True


def test_the_log_has_the_template_of_a_path_and_no_message_of_an_exception(
    http: httpx.Client,
) -> None:
    with structlog.testing.capture_logs() as lines:
        http.get("/broken/4711")
        time.sleep(0.05)
    text = json.dumps(lines, default=str)
    assert "/broken/{secret}" in text
    assert "4711" not in text
    assert "ValueError" in text


def test_a_taken_port_is_one_clear_error(server: HttpServer) -> None:
    with pytest.raises(PortInUse, match=str(server.port)):
        HttpServer(make_app(), f"127.0.0.1:{server.port}")
