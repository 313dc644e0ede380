"""A network in which payments accepts no connection, and a relay that a test may let misbehave."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc

from consent.artefact import sign_as_subject
from coordinator.relay.service import RelayService
from coordinator.relay.switchboard import Switchboard
from coordinator.transport import (
    MEMBER_LIMITS,
    MemberGate,
    TlsIdentity,
    listen,
    make_server,
    member_credentials,
)
from node.consents.service import OfferTerms, SignedGrant
from node.network.gate import MemberGate as NodeGate
from node.relay.line import RelayLine, Timing
from node.relay.wiring import relay_line
from node.storage import subjects
from node.storage.subjects import Subject
from protocols.certificates import issue_server_certificate, make_tls_key, to_pem
from protocols.keys import SigningKey
from protocols.relay import DEFAULT_RELAY_LIMITS, RelayLimits
from protocols.v1.relay_pb2 import RelayFrame
from protocols.v1.relay_pb2_grpc import add_RelayServicer_to_server
from tests.network import MEMBERS, MemberSpec, Network, now_ms, open_network, person
from tests.node.coordinated import free_port

HIDDEN = "payments"
SUBJECT_KEY = SigningKey.from_seed(b"k" * 32)

Meddle = Callable[[RelayFrame], list[RelayFrame]]
"""What a relay makes of a sealed frame or an opening: nothing, itself, another, several."""


def honest(frame: RelayFrame) -> list[RelayFrame]:
    return [frame]


class Relay(Switchboard):
    """A relay that records every frame, and does to frames what a test tells it to.

    It does not count windows when it meddles: what it makes up is not held against the members.
    """

    def __init__(self, *args, **more) -> None:
        super().__init__(*args, **more)
        self.seen: list[bytes] = []
        self.there: Meddle = honest
        self.back: Meddle = honest
        self.carried_calls: list[tuple] = []

    def from_caller(self, circuit, frame):
        self.seen.append(frame.SerializeToString())
        if frame.WhichOneof("frame") not in {"sealed", "opening"}:
            super().from_caller(circuit, frame)
            return
        for one in self.there(frame):
            copy = RelayFrame()
            copy.CopyFrom(one)
            super().from_caller(circuit, copy)

    def from_line(self, line, frame):
        self.seen.append(frame.SerializeToString())
        # What a call that is over still brings is no test's frame.
        if frame.WhichOneof("frame") != "sealed" or frame.call not in line.calls:
            super().from_line(line, frame)
            return
        number = frame.call
        for one in self.back(frame):
            copy = RelayFrame()
            copy.CopyFrom(one)
            copy.call = copy.call or number
            super().from_line(line, copy)


@dataclass
class World:
    """Members, a relay and the lines to it."""

    network: Network
    relay: Relay
    server: grpc.Server
    lines: dict[str, RelayLine] = field(default_factory=dict)

    def fetch(self, people, *, by="bank-a", purpose="score", deadline_s=10.0):
        return self.network.node(by).fetcher.fetch(people, purpose=purpose, deadline_s=deadline_s)

    def grant(self, number: int, *, by: str = "bank-a", holders=(HIDDEN,)):
        """A consent of one person, recorded at a bank and not delivered yet."""
        node = self.network.node(by)
        offer = node.consents.offer(OfferTerms(holders=list(holders)))
        artefact = offer.artefact(person(number), SUBJECT_KEY.verify_key.bytes)
        signed = SignedGrant(person(number), sign_as_subject(artefact, SUBJECT_KEY))
        (recorded,) = node.consents.record_many([signed])
        return recorded

    def hide(self, member_id: str) -> RelayLine:
        """Let a member accept no connection any more and keep a line instead."""
        network = self.network
        network.servers[member_id].stop(grace_s=0)
        network.entries[member_id] = replace(network.entries[member_id], endpoint=None)
        network.publish()
        return self.attach(member_id)

    def attach(self, member_id: str) -> RelayLine:
        node = self.network.node(member_id)
        gate = NodeGate(node.documents, node.transport_limits)
        line = relay_line(node, gate, Timing(heartbeat=0.5, first_wait=0.05, longest_wait=0.2))
        line.start()
        self.lines[member_id] = line
        assert line.wait_attached(10)
        return line


def serve_relay(network: Network, relay: Relay, port: int) -> grpc.Server:
    """The relay at a member port of its own, behind the coordinator's gate."""
    key = make_tls_key()
    certificate = issue_server_certificate(network.ca_key, network.ca, key, now_ms(), 30)
    gate = MemberGate(network.directory, lambda *_: None)
    server = make_server(MEMBER_LIMITS, gate, "relay-test")
    add_RelayServicer_to_server(RelayService(relay), server)
    identity = TlsIdentity(network.ca, to_pem(certificate), key)
    listen(server, f"127.0.0.1:{port}", member_credentials(lambda: identity))
    server.start()
    return server


@contextmanager
def open_world(
    root: Path,
    *,
    members: Sequence[MemberSpec] = MEMBERS,
    limits: RelayLimits = DEFAULT_RELAY_LIMITS,
    people: int = 40,
) -> Iterator[World]:
    """A network whose payments is reached through a relay only."""
    port = free_port()
    with ExitStack() as stack:
        network = stack.enter_context(open_network(root, members, coordinator=f"127.0.0.1:{port}"))
        relay = Relay(network.directory, lambda *told: carried.append(told), limits=limits)
        carried = relay.carried_calls
        server = serve_relay(network, relay, port)
        stack.callback(lambda: server.stop(0.2).wait())
        stack.callback(relay.close)
        world = World(network, relay, server)
        stack.callback(lambda: [line.stop() for line in world.lines.values()])
        for node in network.nodes.values():
            known = [Subject(person(n), f"sub_{n}", f"C{n}", now_ms()) for n in range(people)]
            with node.database.write() as connection:
                subjects.replace_all(connection, known)
        world.hide(HIDDEN)
        yield world
