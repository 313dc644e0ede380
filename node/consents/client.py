"""Carries consents to other members over gRPC and their acknowledgements back."""

import re
from collections.abc import Callable, Iterator, Sequence

import grpc

from consent.deletion import MAX_DELETION_BYTES
from consent.delivery import Acknowledgement, Delivery, Kind
from node.network.rpc_errors import remote_errors
from protocols.errors import Malformed
from protocols.v1.exchange_pb2 import ConsentAcknowledgement, ConsentDelivery
from protocols.v1.exchange_pb2_grpc import ConsentsStub

_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")


class GrpcCourier:
    """A `node.consents.delivery.Courier` over mutual TLS."""

    def __init__(
        self,
        channel: Callable[[str], grpc.Channel],
        *,
        base_timeout_s: float = 3.0,
        delivery_timeout_s: float = 0.05,
    ) -> None:
        """Call over the channels that `channel(member id)` gives.

        Args:
            channel: gives a channel to an active member.
            base_timeout_s: how long a call may take, and
            delivery_timeout_s: how much longer for each delivery in it.
        """
        self._channel = channel
        self._base_timeout_s = base_timeout_s
        self._delivery_timeout_s = delivery_timeout_s

    def deliver(self, member_id: str, deliveries: Sequence[Delivery]) -> Iterator[Acknowledgement]:
        """Deliver; acknowledgements as they come, not yet verified.

        Raises:
            UnknownMember, MemberNotActive: no such member to call.
            PeerUnreachable, PeerTooSlow, PeerFailed: it does not answer as it should.
            Malformed: an answer is outside its grammar.
        """
        stub = ConsentsStub(self._channel(member_id))
        timeout_s = self._base_timeout_s + self._delivery_timeout_s * len(deliveries)
        with remote_errors(member_id):
            for message in stub.Deliver(map(delivery_to_proto, deliveries), timeout=timeout_s):
                yield _from_proto(message)


def delivery_to_proto(delivery: Delivery) -> ConsentDelivery:
    """A delivery as it travels."""
    if delivery.kind is Kind.ARTEFACT:
        return ConsentDelivery(
            delivery_id=delivery.delivery_id,
            artefact=delivery.data,
            status_index=delivery.status_index,
        )
    return ConsentDelivery(delivery_id=delivery.delivery_id, withdrawal=delivery.data)


def _from_proto(message: ConsentAcknowledgement) -> Acknowledgement:
    if message.refusal and _CODE.fullmatch(message.refusal) is None:
        raise Malformed("an acknowledgement with a refusal that is no code")
    if len(message.deletion) > MAX_DELETION_BYTES:
        raise Malformed("an attestation of deletion is larger than one can be")
    return Acknowledgement(
        delivery_id=message.delivery_id,
        refusal=message.refusal,
        effective_at_ms=message.effective_at_ms,
        signature=message.signature,
        deletion=message.deletion,
    )
