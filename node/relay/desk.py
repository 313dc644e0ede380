"""Who may call through the relay and what: the same members, the same methods as directly."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import grpc

from node.network.gate import MemberGate
from node.network.transport import DirectorySource
from node.relay.answering import Handler
from protocols.errors import CredenceError, NotFound
from protocols.keys import SealingKey, SigningKey
from protocols.relay_seal import AcceptedCall, accept_call
from protocols.relay_tickets import Tickets
from protocols.v1.relay_pb2 import RelayOpening, RelayTicket


class MethodUnknown(NotFound):
    """This node serves no such method to members."""

    code = "method_unknown"
    next_step = "Compare the releases of both nodes."


class Services:
    """Collects servicers' methods the way a `grpc.Server` does when they are added to it."""

    def __init__(self, registrations: Sequence[Callable[[grpc.Server], None]]) -> None:
        """Let each registration add its servicer."""
        self._methods: dict[str, Any] = {}
        for register in registrations:
            register(cast("grpc.Server", self))

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None:
        """Nothing: every servicer registers its methods by name as well."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Any]
    ) -> None:
        """Take the methods of one service."""
        for name, handler in method_handlers.items():
            self._methods[f"/{service_name}/{name}"] = handler

    def method(self, name: str) -> Handler | None:
        """The handler by the full name of its method."""
        return self._methods.get(name)


class Desk:
    """Accepts relayed calls.

    Args:
        member_id: this node.
        signing: its identity; read at every ticket, for keys rotate.
        sealing: its key in the directory; the same.
        source: the directory, as the direct port's gate reads it.
        gate: the direct port's gate: one count of a member's calls, whichever way they come.
        services: what is served directly.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(
        self,
        *,
        member_id: str,
        signing: Callable[[], SigningKey],
        sealing: Callable[[], SealingKey],
        source: DirectorySource,
        gate: MemberGate,
        services: Services,
        now_ms: Callable[[], int],
    ) -> None:
        self._member_id = member_id
        self._signing = signing
        self._sealing = sealing
        self._source = source
        self._gate = gate
        self._services = services
        self._now_ms = now_ms
        self._tickets = Tickets(member_id)
        self._ticket_for = b""

    def new_ticket(self) -> RelayTicket:
        """A ticket for callers."""
        sealing = self._sealing()
        self._ticket_for = sealing.public
        return self._tickets.issue(self._signing(), sealing, self._now_ms())

    def ticket_due(self) -> bool:
        """Whether a new ticket is to be given out: by age, use, or a new sealing key."""
        return self._tickets.due(self._now_ms()) or self._sealing().public != self._ticket_for

    def accept(self, opening: RelayOpening) -> tuple[AcceptedCall, Handler]:
        """The authenticated call, and the handler behind the gate.

        Raises:
            CredenceError: a check of `protocols.relay_seal.accept_call` fails.
            MethodUnknown: nothing by that name is served.
        """
        try:
            accepted = self._accept(opening)
        except CredenceError:
            # The directory here may be older than the caller's membership or key.
            self._source.look_again()
            accepted = self._accept(opening)
        return accepted, self._handler(accepted.method)

    def _accept(self, opening: RelayOpening) -> AcceptedCall:
        return accept_call(
            opening,
            own_id=self._member_id,
            tickets=self._tickets,
            directory=self._source.directory(),
            now_ms=self._now_ms(),
        )

    def _handler(self, method: str) -> Handler:
        handler = self._services.method(method)
        if handler is None:
            raise MethodUnknown("no such method is served here")
        return self._gate.intercept_service(lambda _: handler, _Details(method))


class _Details(grpc.HandlerCallDetails):
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()
