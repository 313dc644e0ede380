"""A real coordinator and real nodes on loopback, each of which can be stopped, cut off, or lied to.

    with open_world(tmp_path) as world:
        bank, payments = world.join("bank-a"), world.join("payments", holds=("payment",))
        world.coordinator.membership.set_status("bank-a", "suspended", now_ms())
        world.call("bank-a", "payments")   # raises what payments answers

Nothing runs in the background: a test says when a node polls (`node.documents.refresh()`).
"""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.process import serving
from coordinator.settings import make_settings
from node.bootstrap import Node, init_node, join, open_node
from node.network.rpc_errors import remote_errors
from node.network.server import MemberServer, member_server
from node.network.transport import TlsIdentity, TransportLimits, open_channel
from protocols.certificates import member_dns
from protocols.directory import Directory
from protocols.documents import Document
from protocols.v1.exchange_pb2 import SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub

LIMITS = TransportLimits()
HOUR_S = 3600
DAY_MS = 86_400_000


def now_ms() -> int:
    return int(time.time() * 1000)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class World:
    """One network."""

    root: Path
    coordinator: Coordinator
    _serving: ExitStack = field(default_factory=ExitStack)
    nodes: dict[str, Node] = field(default_factory=dict)
    servers: dict[str, MemberServer] = field(default_factory=dict)

    @property
    def directory(self) -> Directory:
        return self.coordinator.membership.directory()

    def start_coordinator(self) -> None:
        self._serving.enter_context(serving(self.coordinator))

    def stop_coordinator(self) -> None:
        """Nobody answers at its ports any longer."""
        self._serving.close()

    def make(self, member_id: str, role: str = "bank", **options) -> Path:
        """A home that has not joined."""
        home = self.root / member_id
        init_node(
            home,
            member_id=member_id,
            name=member_id.title(),
            role=role,
            listen=f"127.0.0.1:{free_port()}",
            **options,
        )
        return home

    def join(
        self, member_id: str, role: str = "bank", *, holds: Sequence[str] = (), **options
    ) -> Node:
        """A member that serves."""
        home = self.make(member_id, role, holds=tuple(holds), **options)
        invitation = self.coordinator.membership.invite(member_id, role, HOUR_S, now_ms())
        join(home, invitation.to_text(), now_ms())
        return self.open(member_id)

    def open(self, member_id: str) -> Node:
        """Open a member's home and serve."""
        node = open_node(self.root / member_id)
        server = member_server(node)
        server.bind(node.settings.listen)
        server.start()
        self.nodes[member_id], self.servers[member_id] = node, server
        return node

    def close(self, member_id: str) -> None:
        """End a member's process."""
        self.servers.pop(member_id).stop(0.2)
        self.nodes.pop(member_id).close()

    def call(self, caller: str, holder: str) -> None:
        """Ask over the caller's own channel; an empty request, so a member gets `malformed`."""
        stub = ExchangeStub(self.nodes[caller].channels.to_member(holder))
        with remote_errors(holder):
            stub.Fetch(SealedRequest(), timeout=10)

    def call_as(self, identity: TlsIdentity | None, holder: str) -> None:
        """The same over a connection of its own, with any certificate."""
        endpoint = self.nodes[holder].settings.dialled
        ca = self.coordinator.identity.ca
        with (
            open_channel(endpoint, member_dns(holder), ca, identity, LIMITS) as channel,
            remote_errors(holder),
        ):
            ExchangeStub(channel).Fetch(SealedRequest(), timeout=10)

    def refresh(self) -> None:
        """Let every node poll."""
        for node in self.nodes.values():
            node.documents.refresh()

    def end(self) -> None:
        for member_id in list(self.nodes):
            self.close(member_id)
        self.stop_coordinator()
        self.coordinator.close()


@contextmanager
def open_world(root: Path, **settings) -> Iterator[World]:
    """A new network without members; its coordinator serves."""
    made = make_settings(
        name="test",
        listen_members=f"127.0.0.1:{free_port()}",
        listen_enrolment=f"127.0.0.1:{free_port()}",
        **settings,
    )
    init_coordinator(root / "coordinator", made)
    world = World(root, open_coordinator(root / "coordinator"))
    world.start_coordinator()
    try:
        yield world
    finally:
        world.end()


def kinds_of(audit) -> list[str]:
    """The kinds of all leaves of a log, in order."""
    from audit.leaf import parse_leaf

    with audit._database.read() as connection:
        return [
            parse_leaf(row.leaf)["kind"]
            for row in audit.leaves(connection, 0, audit.head(connection).size)
        ]


def held(node: Node) -> Document:
    """The directory that a node holds, as it was signed."""
    return node.documents.document("directory")
