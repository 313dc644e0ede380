"""Witnessing over gRPC, both sides of it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from audit.database import Database
from audit.verifier.cosignature import CosignatureKey
from audit.witness import Answer, Witness
from audit.witness_request import MAX_REQUEST_BYTES
from audit.witness_wire import WitnessMessages, read_notes
from node.network.rpc_errors import remote_errors
from protocols.errors import Malformed
from protocols.v1.witness_pb2 import (
    AddCheckpointAnswer,
    AddCheckpointRequest,
    CosignedHead,
    LatestHeads,
    LatestHeadsRequest,
)
from protocols.v1.witness_pb2_grpc import WitnessDeskStub, WitnessServicer, WitnessStub

if TYPE_CHECKING:
    import grpc


class WitnessServer(WitnessServicer):
    """This node as a witness; behind a `MemberGate`."""

    def __init__(self, witness: Witness, database: Database, now_ms: Callable[[], int]) -> None:
        """Answer with `witness`, whose state is in `database`."""
        self._messages = WitnessMessages(witness, database, now_ms)

    def AddCheckpoint(  # noqa: N802 - the name in the .proto
        self,
        request: AddCheckpointRequest,
        context: "grpc.ServicerContext",  # noqa: ARG002
    ) -> AddCheckpointAnswer:
        """Cosign a head, or say why not."""
        return self._messages.add_checkpoint(request)

    def Latest(  # noqa: N802 - the name in the .proto
        self,
        request: LatestHeadsRequest,
        context: "grpc.ServicerContext",  # noqa: ARG002
    ) -> LatestHeads:
        """What is held of a log."""
        return self._messages.latest(request)


class GrpcWitness:
    """An `audit.witness_round.WitnessPeer` over mutual TLS: a member, or the coordinator."""

    def __init__(
        self,
        organisation: str,
        keys: Sequence[CosignatureKey],
        channel: "Callable[[], grpc.Channel]",
    ) -> None:
        """Ask `organisation` over the channel that `channel` gives."""
        self._organisation = organisation
        self._keys = tuple(keys)
        self._channel = channel

    @property
    def organisation(self) -> str:
        """Who runs it."""
        return self._organisation

    @property
    def keys(self) -> Sequence[CosignatureKey]:
        """The keys it may cosign with."""
        return self._keys

    def add_checkpoint(self, body: bytes, timeout_s: float) -> Answer:
        """Its answer to a request.

        Raises:
            CredenceError: it cannot be reached, is too slow, or answers too much.
        """
        stub = WitnessStub(self._channel())
        with remote_errors(self._organisation):
            answer = stub.AddCheckpoint(AddCheckpointRequest(body=body), timeout=timeout_s)
        if len(answer.body) > MAX_REQUEST_BYTES:
            raise Malformed("a witness answered too much")
        return Answer(answer.status, answer.body)

    def latest(self, origin: str, timeout_s: float) -> Sequence[bytes]:
        """What it holds of a log.

        Raises:
            CredenceError: as `add_checkpoint`.
        """
        stub = WitnessStub(self._channel())
        with remote_errors(self._organisation):
            answer = stub.Latest(LatestHeadsRequest(origin=origin), timeout=timeout_s)
        return read_notes(answer)


class CoordinatorDesk:
    """Comes for the coordinator's heads, for it dials nobody."""

    def __init__(self, channel: "Callable[[], grpc.Channel]") -> None:
        """Ask over the channel that `channel` gives."""
        self._channel = channel

    def offered(self, notes: Sequence[bytes], timeout_s: float) -> bytes:
        """Say what is held here; the request that the coordinator has, or nothing.

        Raises:
            CredenceError: it cannot be reached, is too slow, or answers too much.
        """
        with remote_errors("the coordinator"):
            offer = WitnessDeskStub(self._channel()).Offered(
                LatestHeads(notes=notes), timeout=timeout_s
            )
        if len(offer.body) > MAX_REQUEST_BYTES:
            raise Malformed("the coordinator offered too much")
        return offer.body

    def cosigned(self, size: int, answer: Answer, timeout_s: float) -> None:
        """Give it this node's answer.

        Raises:
            CredenceError: it cannot be reached, or refuses.
        """
        told = AddCheckpointAnswer(status=answer.status, body=answer.body)
        with remote_errors("the coordinator"):
            WitnessDeskStub(self._channel()).Cosigned(
                CosignedHead(size=size, answer=told), timeout=timeout_s
            )
