"""Status lists over gRPC, both sides of it."""

from collections.abc import Callable, Sequence

import grpc

from consent.delivery import Delivery
from consent.status_list import MAX_COMPRESSED_BYTES, MAX_HEAD_BYTES, NONCE_BYTES
from node.consents.client import delivery_to_proto
from node.consents.server import delivery_from_proto
from node.consents.status_publisher import MAX_MISSED, StatusAnswer, StatusPublisher
from node.network.rpc_errors import remote_errors
from node.network.transport import peer_member
from protocols.errors import Malformed
from protocols.v1.status_pb2 import (
    MissedAnswer,
    MissedRequest,
    StatusListAnswer,
    StatusListRequest,
)
from protocols.v1.status_pb2_grpc import ConsentStatusServicer, ConsentStatusStub

HASH_BYTES = 32


class StatusServer(ConsentStatusServicer):
    """Answers `List` and `Missed`; behind a `MemberGate`, so that the caller is a member."""

    def __init__(self, publisher: StatusPublisher) -> None:
        self._publisher = publisher

    def List(  # noqa: N802 - the name in the .proto
        self, request: StatusListRequest, context: grpc.ServicerContext
    ) -> StatusListAnswer:
        """The list of this node's own consents, as of now."""
        peer_member(context)
        if len(request.nonce) != NONCE_BYTES or len(request.have_sha256) not in {0, HASH_BYTES}:
            raise Malformed("a question for a status list has a nonce of 16 bytes")
        answer = self._publisher.answer(request.nonce, request.have_sha256)
        return StatusListAnswer(head=answer.head, bits=answer.bits)

    def Missed(  # noqa: N802 - the name in the .proto
        self, request: MissedRequest, context: grpc.ServicerContext
    ) -> MissedAnswer:
        """What the caller should have been told."""
        hashes = request.consent_hashes
        if not 1 <= len(hashes) <= MAX_MISSED or any(len(one) != HASH_BYTES for one in hashes):
            raise Malformed("1 to 256 consents are asked about, by hash")
        deliveries = self._publisher.missed(peer_member(context), list(hashes))
        return MissedAnswer(deliveries=map(delivery_to_proto, deliveries))


class GrpcStatusSource:
    """A `node.consents.status_keeper.StatusSource` over mutual TLS."""

    def __init__(self, channel: Callable[[str], grpc.Channel]) -> None:
        """Call over the channels that `channel(member id)` gives."""
        self._channel = channel

    def newest(
        self, controller: str, nonce: bytes, have_sha256: bytes, timeout_s: float
    ) -> StatusAnswer:
        """A controller's list, not verified.

        Raises:
            UnknownMember, MemberNotActive: no such member to call.
            PeerUnreachable, PeerTooSlow, PeerFailed: it does not answer as it should.
            Malformed: the answer is larger than a list can be.
        """
        stub = ConsentStatusStub(self._channel(controller))
        request = StatusListRequest(nonce=nonce, have_sha256=have_sha256)
        with remote_errors(controller):
            answer = stub.List(request, timeout=timeout_s)
        if len(answer.head) > MAX_HEAD_BYTES or len(answer.bits) > MAX_COMPRESSED_BYTES:
            raise Malformed("a status list is larger than one can be")
        return StatusAnswer(answer.head, answer.bits)

    def missed(self, controller: str, hashes: Sequence[bytes], timeout_s: float) -> list[Delivery]:
        """What a controller should have told this node, not verified.

        Raises:
            CredenceError: as `newest`.
        """
        stub = ConsentStatusStub(self._channel(controller))
        with remote_errors(controller):
            answer = stub.Missed(MissedRequest(consent_hashes=hashes), timeout=timeout_s)
        if len(answer.deliveries) > 2 * len(hashes):
            raise Malformed("more documents than consents asked about")
        return [delivery_from_proto(one) for one in answer.deliveries]
