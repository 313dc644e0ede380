"""The port on which a node serves other members: exchange, consents, evaluations; mutual TLS.

It is served by an event loop in a thread of its own. The exchange, which is asked most, is answered
in the loop (`node.exchange.server`); all else, in worker threads (`node.network.worker_calls`).
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import grpc
import grpc.aio

from node.consents.server import ConsentServer
from node.consents.status_rpc import StatusServer
from node.exchange.reconciling import StatementServer
from node.exchange.server import ExchangeServer, exchange_methods
from node.network.gate import MemberGate
from node.network.gossip import GossipServer
from node.network.loop_gate import LoopGate
from node.network.transport import (
    DirectorySource,
    Handler,
    TlsIdentity,
    TransportLimits,
    server_credentials,
    server_options,
)
from node.network.worker_calls import WorkerCalls
from node.parts import Node
from node.rights.server import RightsServer
from node.trustees.server import EvaluationServer
from node.witnessing.rpc import WitnessServer
from protocols.errors import PortInUse
from protocols.v1.exchange_pb2_grpc import (
    add_ConsentsServicer_to_server,
    add_ExchangeServicer_to_server,
)
from protocols.v1.membership_pb2_grpc import add_GossipServicer_to_server
from protocols.v1.pseudonyms_pb2_grpc import add_EvaluationServicer_to_server
from protocols.v1.reconciliation_pb2_grpc import add_ReconciliationServicer_to_server
from protocols.v1.rights_pb2_grpc import add_RightsServicer_to_server
from protocols.v1.status_pb2_grpc import add_ConsentStatusServicer_to_server
from protocols.v1.witness_pb2_grpc import add_WitnessServicer_to_server

T = TypeVar("T")

Registration = Callable[[grpc.Server], None]
InLoop = Callable[[LoopGate], Mapping[str, Handler]]
"""Gives the handlers that run in the loop, by the methods' full names."""


class MemberServer:
    """A gRPC server that admits members only; `bind`, `start`, `stop`, in this order, once."""

    def __init__(
        self,
        identity: Callable[[], TlsIdentity],
        source: DirectorySource,
        registrations: Sequence[Registration],
        limits: TransportLimits,
        gate: MemberGate | None = None,
        in_loop: InLoop | None = None,
    ) -> None:
        """Prepare a server; nothing listens yet.

        Args:
            identity: gives the node's own certificate; asked at every new connection.
            source: decides who is a member.
            registrations: each adds one servicer.
            limits: sizes and concurrency.
            gate: shared with the relay, so that a member's calls count together; None: its own.
            in_loop: see there; they go before those of `registrations`.
        """
        self._identity = identity
        self._limits = limits
        self._workers = ThreadPoolExecutor(limits.workers, thread_name_prefix="members")
        gate = gate or MemberGate(source, limits)
        self._handlers = _Handlers(gate, self._workers)
        for register in registrations:
            register(cast("grpc.Server", self._handlers))
        if in_loop is not None:
            self._handlers.in_loop = in_loop(LoopGate(gate, self._workers))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="members", daemon=True)
        self._thread.start()
        self._started = False
        self._server = self._in_loop(self._make())

    def bind(self, endpoint: str) -> int:
        """Listen on host:port; port 0 takes a free one. Calls wait until `start`.

        Returns:
            The port.

        Raises:
            PortInUse: another process has it, or the address is not of this machine.
        """
        check_free(endpoint)
        credentials = server_credentials(self._identity)

        async def bind() -> int:
            return int(self._server.add_secure_port(endpoint, credentials))

        try:
            port = self._in_loop(bind())
        except RuntimeError as error:
            raise PortInUse(f"cannot listen on {endpoint}") from error
        if port == 0:
            raise PortInUse(f"cannot listen on {endpoint}")
        return port

    def start(self) -> None:
        """Serve."""
        self._in_loop(self._server.start())
        self._started = True

    def stop(self, grace_s: float = 3.0) -> None:
        """Refuse new calls, let those under way finish for `grace_s`, then cut them."""
        if self._loop.is_closed():
            return
        if not self._started:
            self.start()  # only a server that ran lets go of its port
        self._in_loop(self._server.stop(grace_s))
        self._workers.shutdown(wait=True)
        self._in_loop(_settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _make(self) -> grpc.aio.Server:
        return grpc.aio.server(
            handlers=[self._handlers],
            options=server_options(self._limits),
            maximum_concurrent_rpcs=self._limits.workers + self._limits.waiting,
        )

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _settle() -> None:
    """Let what is cancelled end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _Handlers(grpc.GenericRpcHandler):
    """Takes servicers as a `grpc.Server` does, and finds the handler of a call."""

    def __init__(self, gate: MemberGate, workers: ThreadPoolExecutor) -> None:
        self.in_loop: Mapping[str, Handler] = {}
        self._gate = gate
        self._calls = WorkerCalls(workers)
        self._methods: dict[str, Handler] = {}
        self._generic: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        """Handlers that find a method themselves."""
        self._generic.extend(generic_rpc_handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Any]
    ) -> None:
        """The methods of one service."""
        for name, handler in method_handlers.items():
            self._methods[f"/{service_name}/{name}"] = handler

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        """The handler of a call, behind the gate."""
        found = self.in_loop.get(handler_call_details.method)
        if found is not None:
            return found
        blocking = self._gate.intercept_service(self._blocking, handler_call_details)
        return self._calls.handler(blocking) if blocking is not None else None

    def _blocking(self, details: grpc.HandlerCallDetails) -> "Handler | None":
        found = self._methods.get(details.method)
        if found is not None:
            return found
        tried = (one.service(details) for one in self._generic)
        return next((one for one in tried if one is not None), None)


def member_server(node: Node, gate: MemberGate | None = None) -> MemberServer:
    """The server of a node's member port; nothing listens yet.

    Raises:
        NotJoined: the node has no certificate yet.
    """
    return MemberServer(
        node.identity,
        node.documents,
        member_services(node),
        node.transport_limits,
        gate,
        lambda admitting: exchange_methods(node.exchange, node.statuses.keeper, admitting),
    )


def member_services(node: Node) -> list[Registration]:
    """All that a node serves to members, on its port and through the relay alike."""

    def clock() -> int:
        return int(time.time() * 1000)

    def exchange(server: grpc.Server) -> None:
        service = ExchangeServer(node.exchange, node.statuses.keeper.ensure)
        add_ExchangeServicer_to_server(service, server)

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

    def witness(server: grpc.Server) -> None:
        servicer = WitnessServer(node.witnessing.witness, node.database, clock)
        add_WitnessServicer_to_server(servicer, server)

    def reconciliation(server: grpc.Server) -> None:
        servicer = StatementServer(node.member_id, node.log_reader)
        add_ReconciliationServicer_to_server(servicer, server)

    def gossip(server: grpc.Server) -> None:
        add_GossipServicer_to_server(GossipServer(node.documents), server)

    return [exchange, consents, evaluation, rights, gossip, witness, reconciliation]


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
