"""Traces as a collector receives them over OTLP/HTTP: useful to operators, silent about people."""

import gzip
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import httpx
import pytest

from api.http.app import create_app
from api.http.server import HttpServer
from node.telemetry.tracing import ATTRIBUTES, make_tracer
from tests.api.test_scores import body_for
from tests.network import MEMBERS, now_ms, open_network
from tests.node.scoring_world import BANK, World

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs credence[telemetry]")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What a collector was sent: paths and messages."""

    url: str
    paths: set[str] = field(default_factory=set)
    bodies: list[bytes] = field(default_factory=list)

    def received(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(one) for one in self.bodies]

    def spans(self) -> list[Span]:
        return [
            span
            for message in self.received()
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.paths.add(self.path)
            collector.bodies.append(body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collector, set[str]]]:
    """A collector after calls of a bank that was closed, and what must not have reached it."""
    with collecting() as collector:
        settings = {"otlp_endpoint": collector.url}
        members = [
            replace(one, options=settings if one.member_id == BANK else {})
            for one in MEMBERS
            if one.member_id != "bank-b"
        ]
        with open_network(tmp_path_factory.mktemp("traced"), members) as network:
            world = World(network)
            world.publish("test-1")
            secrets = _call(world)
        yield collector, secrets


def _call(world: World) -> set[str]:
    """Calls that are answered, refused and of no sense; everything in them that says something."""
    client, token = world.clients.add("canary-client-name", now_ms())
    body = body_for(world)
    server = HttpServer(create_app(world.node), "127.0.0.1:0")
    server.start()
    headers = {"Authorization": f"Bearer {token}", "User-Agent": "canary-agent"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as caller:
            key = {"Idempotency-Key": "canary-key"}
            made = caller.post("/v1/scores", json=body, headers=key)
            assert made.status_code == 201
            assert caller.get(made.headers["location"]).status_code == 200
            refused = caller.post("/v1/scores", json=body | {"subject": "sub_canary"})
            assert refused.status_code == 404
            assert caller.get("/canary-path?who=canary-query").status_code == 404
    finally:
        server.stop()
    answer = made.json()
    secrets = {"canary", token, client.client_id, answer["score_id"], body["subject"]}
    secrets |= {body["consent_id"], answer["receipt"]["leaf_hash"]}
    return secrets | {reason["text"] for reason in answer["reasons"]}


def test_spans_of_a_score_reach_the_collector(traced: tuple[Collector, set[str]]) -> None:
    collector, _ = traced
    assert collector.paths == {"/v1/traces"}
    spans = collector.spans()
    assert {one.name for one in spans} == {"http.request", "score.group", "score.ask"}
    requests = [one for one in spans if one.name == "http.request"]
    said = {
        tuple(str(a.value.string_value or a.value.int_value) for a in one.attributes)
        for one in requests
    }
    assert ("POST", "/v1/scores", "201") in said
    assert all(one.end_time_unix_nano > one.start_time_unix_nano for one in spans)
    (sources,) = {
        tuple(sorted((a.key, a.value.string_value) for a in resource.resource.attributes))
        for message in collector.received()
        for resource in message.resource_spans
    }
    assert sources == (("service.instance.id", BANK), ("service.name", "credence-node"))


def test_nothing_of_a_call_or_a_person_reaches_the_collector(
    traced: tuple[Collector, set[str]],
) -> None:
    """Looked for in the very bytes: names, attributes, events, whatever else there is."""
    collector, secrets = traced
    everything = b"".join(collector.bodies)
    assert len(everything) > 500
    assert [one for one in secrets if one.encode() in everything] == []
    for span in collector.spans():
        assert {one.key for one in span.attributes} <= ATTRIBUTES
        assert not span.events
        assert not span.status.message


def test_a_collector_that_says_nothing_holds_nobody_up() -> None:
    """Spans are made as fast as ever, and the process ends when its time for them is over."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        tracer = make_tracer(f"http://127.0.0.1:{port}", BANK, timeout_s=0.3)
        began = time.monotonic()
        for _ in range(1000):
            with tracer.span("score.group") as note:
                note("credence.calls", 1)
        assert time.monotonic() - began < 2
        began = time.monotonic()
        tracer.close()
        assert time.monotonic() - began < 8
