"""The gRPC face of notices about rights: one in, one signed acknowledgement out."""

import grpc

from node.network.transport import peer_member
from node.rights.inbox import RightsInbox
from protocols.v1.rights_pb2 import RightsAcknowledgement, RightsNotice
from protocols.v1.rights_pb2_grpc import RightsServicer


class RightsServer(RightsServicer):
    """Answers `Tell`; behind a `MemberGate`, so that the caller is an active member."""

    def __init__(self, inbox: RightsInbox) -> None:
        self._inbox = inbox

    def Tell(  # noqa: N802 - the name in the .proto
        self, request: RightsNotice, context: grpc.ServicerContext
    ) -> RightsAcknowledgement:
        """One notice; see `RightsInbox.receive` for its checks."""
        answer = self._inbox.receive(peer_member(context), request.body, request.signature)
        return RightsAcknowledgement(
            refusal=answer.refusal,
            effective_at_ms=answer.effective_at_ms,
            signature=answer.signature,
        )
