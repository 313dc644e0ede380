"""The gRPC face of a trustee's evaluations."""

from collections.abc import Callable

import grpc

from node.network.transport import peer_member
from node.trustees.evaluation import EvaluationService
from protocols.directory import Directory
from protocols.v1.pseudonyms_pb2 import EvaluateRequest, EvaluateResponse
from protocols.v1.pseudonyms_pb2_grpc import EvaluationServicer


class EvaluationServer(EvaluationServicer):
    """Answers `Evaluate`; behind a `MemberGate`, so that the caller is an active member."""

    def __init__(self, service: EvaluationService, directory: Callable[[], Directory]) -> None:
        """Answer from `service`.

        Args:
            service: evaluates.
            directory: the directory, when it is young enough to release anything by; else it
                raises `DirectoryStale`.
        """
        self._service = service
        self._directory = directory

    def Evaluate(  # noqa: N802 - the name in the .proto
        self, request: EvaluateRequest, context: grpc.ServicerContext
    ) -> EvaluateResponse:
        """One batch; see `EvaluationService.evaluate` for its checks."""
        self._directory()
        done = self._service.evaluate(peer_member(context), request.epoch, request.blinded)
        return EvaluateResponse(
            epoch=request.epoch, index=done.index, evaluated=done.elements, proof=done.proof
        )
