"""The gRPC face of a trustee's evaluations."""

import grpc

from node.network.transport import peer_member
from node.trustees.evaluation import EvaluationService
from protocols.v1.pseudonyms_pb2 import EvaluateRequest, EvaluateResponse
from protocols.v1.pseudonyms_pb2_grpc import EvaluationServicer


class EvaluationServer(EvaluationServicer):
    """Answers `Evaluate`; behind a `MemberGate`, so that the caller is an active member."""

    def __init__(self, service: EvaluationService) -> None:
        self._service = service

    def Evaluate(  # noqa: N802 - the name in the .proto
        self, request: EvaluateRequest, context: grpc.ServicerContext
    ) -> EvaluateResponse:
        """One batch; see `EvaluationService.evaluate` for its checks."""
        done = self._service.evaluate(peer_member(context), request.epoch, request.blinded)
        return EvaluateResponse(
            epoch=request.epoch, index=done.index, evaluated=done.elements, proof=done.proof
        )
