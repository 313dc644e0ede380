"""The port on which a node serves other members: exchange, consents, evaluations; mutual TLS."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

from node.consents.server import ConsentServer
from node.consents.status_rpc import StatusServer
from node.exchange.server import ExchangeServer
from node.network.gossip import GossipServer
from node.network.transport import (
    DirectorySource,
    MemberGate,
    TlsIdentity,
    TransportLimits,
    server_credentials,
    server_options,
)
from node.parts import Node
from node.rights.server import RightsServer
from node.trustees.server import EvaluationServer
from protocols.errors import PortInUse
from protocols.v1.exchange_pb2_grpc import (
    add_ConsentsServicer_to_server,
    add_ExchangeServicer_to_server,
)
from protocols.v1.membership_pb2_grpc import add_GossipServicer_to_server
from protocols.v1.pseudonyms_pb2_grpc import add_EvaluationServicer_to_server
from protocols.v1.rights_pb2_grpc import add_RightsServicer_to_server
from protocols.v1.status_pb2_grpc import add_ConsentStatusServicer_to_server

Registration = Callable[[grpc.Server], None]


class MemberServer:
    """A gRPC server that admits members only; `bind`, `start`, `stop`, in this order, once."""

    def __init__(
        self,
        identity: Callable[[], TlsIdentity],
        source: DirectorySource,
        registrations: list[Registration],
        limits: TransportLimits,
        gate: MemberGate | None = None,
    ) -> None:
        """Prepare a server; nothing listens yet.

        Args:
            identity: gives the node's own certificate; asked at every new connection.
            source: decides who is a member.
            registrations: each adds one servicer.
            limits: sizes and concurrency.
            gate: shared with the relay, so that a member's calls count together; None: its own.
        """
        self._identity = identity
        self._workers = ThreadPoolExecutor(limits.workers, thread_name_prefix="members")
        self._server = grpc.server(
            self._workers,
            interceptors=[gate or MemberGate(source, limits)],
            options=server_options(limits),
            maximum_concurrent_rpcs=limits.workers + limits.waiting,
        )
        for register in registrations:
            register(self._server)

    def bind(self, endpoint: str) -> int:
        """Listen on host:port; port 0 takes a free one. Calls wait until `start`.

        Returns:
            The port.

        Raises:
            PortInUse: another process has it, or the address is not of this machine.
        """
        check_free(endpoint)
        try:
            port = self._server.add_secure_port(endpoint, server_credentials(self._identity))
        except RuntimeError as error:
            raise PortInUse(f"cannot listen on {endpoint}") from error
        if port == 0:
            raise PortInUse(f"cannot listen on {endpoint}")
        return int(port)

    def start(self) -> None:
        """Serve."""
        self._server.start()

    def stop(self, grace_s: float = 3.0) -> None:
        """Refuse new calls, let those under way finish for `grace_s`, then cut them."""
        self._server.stop(grace_s).wait()
        self._workers.shutdown(wait=True)


def member_server(node: Node, gate: MemberGate | None = None) -> MemberServer:
    """The server of a node's member port; nothing listens yet.

    Raises:
        NotJoined: the node has no certificate yet.
    """
    return MemberServer(
        node.identity, node.documents, member_services(node), node.transport_limits, gate
    )


def member_services(node: Node) -> list[Registration]:
    """All that a node serves to members, on its port and through the relay alike."""

    def exchange(server: grpc.Server) -> None:
        add_ExchangeServicer_to_server(ExchangeServer(node.exchange, node.statuses.keeper.ensure), server)

    def consents(server: grpc.Server) -> None:
        service = ConsentServer(node.consents, node.statuses.keeper.poke)
        add_ConsentsServicer_to_server(service, server)
        add_ConsentStatusServicer_to_server(StatusServer(node.statuses.publisher), server)

    def evaluation(server: grpc.Server) -> None:
        add_EvaluationServicer_to_server(
            EvaluationServer(node.trustee.evaluation, node.documents.fresh_directory), server
        )

    def rights(server: grpc.Server) -> None:
        add_RightsServicer_to_server(RightsServer(node.rights.inbox), server)

    def gossip(server: grpc.Server) -> None:
        add_GossipServicer_to_server(GossipServer(node.documents), server)

    return [exchange, consents, evaluation, rights, gossip]


def check_free(endpoint: str) -> None:
    """Raise unless `endpoint` can be listened on now.

    gRPC reports a taken port in many lines of its own on standard error; this finds it before.

    Raises:
        PortInUse: it is taken, or not an address of this machine.
    """
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise PortInUse(f"cannot listen on {endpoint}: {error.strerror}") from error
