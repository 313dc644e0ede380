"""Webhooks of one node on a clock of their own, and an endpoint on loopback that hears them."""

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from node.storage.schema import ensure_schema
from node.webhooks.addresses import Guard
from node.webhooks.delivery import Deliverer
from node.webhooks.endpoints import Endpoints
from node.webhooks.outbox import Outbox
from node.webhooks.sender import Sender
from node.webhooks.service import Webhooks

CLIENT = "cli_platform"
START_MS = 1_790_000_000_000


@dataclass
class Heard:
    """One request that an endpoint received."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP endpoint; `statuses` are answered one after the other, then 204."""

    port: int
    heard: list[Heard] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    answer_headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?from=credence"


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.heard.append(Heard(self.path, headers, body))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
            for name, value in receiver.answer_headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class WebhookWorld:
    """One node's webhooks."""

    database: Database
    audit: AuditLog
    webhooks: Webhooks
    receiver: Receiver
    clock: list[int]

    def emit(self, type_: str = "monitor.score_drop", **options) -> str:
        with self.database.write() as connection:
            return self.webhooks.emit(connection, CLIENT, type_, {"monitor_id": "mon_1"}, **options)

    def work(self, ahead_ms: int = 0) -> int:
        """Let time pass, then attempt what is due; how many attempts."""
        self.clock[0] += ahead_ms
        begun = self.webhooks.deliverer.step()
        self.webhooks.deliverer.settle()
        return begun

    def log(self, endpoint_id: str):
        return self.webhooks.endpoints.deliveries(
            CLIENT, endpoint_id, before=2**62, state=None, limit=100
        )


@cache
def _empty_schema() -> bytes:
    """A database with every table, made once."""
    with TemporaryDirectory() as directory:
        database = Database(f"sqlite:///{directory}/node.db")
        ensure_schema(database)
        database.scrub()
        database.close()
        return (Path(directory) / "node.db").read_bytes()


@contextmanager
def open_webhooks(
    root: Path, sender: Sender | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[WebhookWorld]:
    """With a sender to loopback, or another one; the receiver speaks TLS when it is given some."""
    (root / "node.db").write_bytes(_empty_schema())
    database, keys = Database(f"sqlite:///{root}/node.db"), Database(f"sqlite:///{root}/keys.db")
    audit = AuditLog("credence.test/bank-a", database, DataKeys(keys, bytes(32)), bytes(32))
    clock = [START_MS]
    sender = sender or Sender(Guard(("127.0.0.0/8",)), timeout_s=0.5)
    outbox = Outbox(lambda: clock[0])
    endpoints = Endpoints(
        database=database,
        audit=audit,
        kek=bytes(32),
        guard=sender._guard,
        outbox=outbox,
        now_ms=lambda: clock[0],
    )
    deliverer = Deliverer(
        database=database,
        audit=audit,
        endpoints=endpoints,
        sender=sender,
        member_id="bank-a",
        now_ms=lambda: clock[0],
        draw=lambda: 0.5,
    )
    with receiving(tls) as receiver:
        webhooks = Webhooks(outbox=outbox, endpoints=endpoints, deliverer=deliverer)
        yield WebhookWorld(database, audit, webhooks, receiver, clock)
    deliverer.close()
    database.close()
    keys.close()


def verified(heard: Heard, public: list[str], now_s: int) -> dict:
    """What a receiver makes of a request, with nothing of ours: the specification alone."""
    at = heard.headers["webhook-timestamp"]
    assert abs(now_s - int(at)) <= 300
    content = b".".join([heard.headers["webhook-id"].encode(), at.encode(), heard.body])
    signatures = [one.split(",", 1) for one in heard.headers["webhook-signature"].split(" ")]
    for version, signature in signatures:
        assert version == "v1a"
        for text in public:
            assert text.startswith("whpk_")
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text[5:]))
            try:
                key.verify(base64.b64decode(signature), content)
            except Exception:  # noqa: BLE001
                continue
            return json.loads(heard.body)
    raise AssertionError("no signature verifies")
