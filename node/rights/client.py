"""Carries notices about rights to other members over gRPC."""

import re
from collections.abc import Callable

import grpc

from consent.right_notices import Acknowledgement
from node.network.rpc_errors import remote_errors
from protocols.errors import Malformed
from protocols.v1.rights_pb2 import RightsNotice
from protocols.v1.rights_pb2_grpc import RightsStub

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
TIMEOUT_S = 3.0


class GrpcRightsCourier:
    """A `node.rights.delivery.Courier` over mutual TLS."""

    def __init__(self, channel: Callable[[str], grpc.Channel]) -> None:
        """Call over the channels that `channel(member id)` gives."""
        self._channel = channel

    def tell(self, member_id: str, body: bytes, signature: bytes) -> Acknowledgement:
        """Deliver a notice; its acknowledgement, not yet verified.

        Raises:
            UnknownMember, MemberNotActive: no such member to call.
            PeerUnreachable, PeerTooSlow, PeerFailed: it does not answer as it should.
            Malformed: the answer is outside its grammar.
        """
        stub = RightsStub(self._channel(member_id))
        with remote_errors(member_id):
            answer = stub.Tell(RightsNotice(body=body, signature=signature), timeout=TIMEOUT_S)
        if answer.refusal and _CODE.fullmatch(answer.refusal) is None:
            raise Malformed("an acknowledgement with a refusal that is no code")
        return Acknowledgement(answer.refusal, answer.effective_at_ms, answer.signature)
