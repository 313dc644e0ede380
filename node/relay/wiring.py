"""Where the relay's parts at a node are put together."""

import time

import grpc

from node.network.gate import MemberGate
from node.network.pinned import coordinator_endpoint
from node.network.server import member_services
from node.network.transport import open_channel
from node.parts import Node
from node.relay.desk import Desk, Services
from node.relay.line import RelayLine, Timing
from protocols.certificates import COORDINATOR_DNS


def relay_line(node: Node, gate: MemberGate, timing: Timing | None = None) -> RelayLine:
    """The line of a node that has joined; not started yet.

    Args:
        node: an opened node.
        gate: the direct port's, or one of its own.
        timing: how patient it is.

    Raises:
        NotJoined: the node knows no coordinator.
    """
    endpoint = coordinator_endpoint(node.settings)
    limits = node.transport_limits

    def dial() -> grpc.Channel:
        # Read anew each time: the certificate is replaced while we run.
        identity = node.identity()
        return open_channel(endpoint, COORDINATOR_DNS, identity.ca, identity, limits)

    desk = Desk(
        member_id=node.member_id,
        signing=lambda: node.keys.signing,
        sealing=lambda: node.keys.sealing,
        source=node.documents,
        gate=gate,
        services=Services(member_services(node)),
        now_ms=lambda: int(time.time() * 1000),
    )
    return RelayLine(
        dial, desk, workers=limits.workers, request_bytes=limits.request_bytes, timing=timing
    )
