"""Asking a trustee for an evaluation."""

from collections.abc import Callable
from typing import Protocol

import grpc

from node.network.rpc_errors import remote_errors
from protocols.enrolment import Evaluated
from protocols.v1.pseudonyms_pb2 import EvaluateRequest
from protocols.v1.pseudonyms_pb2_grpc import EvaluationStub

TIMEOUT_S = 60.0


class Evaluator(Protocol):
    """Who evaluates: the trustees of a key."""

    def evaluate(self, trustee: str, epoch: int, blinded: bytes) -> Evaluated:
        """A trustee's answer for blinded elements, not verified yet; raises `CredenceError`."""
        ...


class GrpcEvaluator:
    """Asks trustees over mutual TLS."""

    def __init__(self, channel: Callable[[str], grpc.Channel]) -> None:
        """Call over the channels that `channel(member id)` gives."""
        self._channel = channel

    def evaluate(self, trustee: str, epoch: int, blinded: bytes) -> Evaluated:
        """Ask one trustee.

        Raises:
            QuotaExhausted: this member has asked for too much today.
            PeerUnreachable, PeerTooSlow: no answer.
            CredenceError: another refusal.
        """
        stub = EvaluationStub(self._channel(trustee))
        with remote_errors(trustee):
            answer = stub.Evaluate(EvaluateRequest(epoch=epoch, blinded=blinded), timeout=TIMEOUT_S)
        return Evaluated(answer.index, answer.evaluated, answer.proof)
