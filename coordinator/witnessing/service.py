"""Witnessing at the coordinator's member port: a witness like any member, and the desk.

The coordinator dials nobody, so its members come to the desk: they say what they hold of its log,
are given the newest head with a proof from there, and bring their cosignature.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable

import grpc

from audit.database import Database
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.note import Checkpoint, Note
from audit.witness import Witness
from audit.witness_keeper import LogKeeper
from audit.witness_store import SignedHead
from audit.witness_wire import WitnessMessages, read_notes
from coordinator.transport import peer_member
from protocols.errors import CredenceError, Malformed
from protocols.v1.witness_pb2 import (
    AddCheckpointAnswer,
    AddCheckpointRequest,
    CosignedHead,
    CosignedHeadTaken,
    LatestHeads,
    LatestHeadsRequest,
)
from protocols.v1.witness_pb2_grpc import WitnessDeskServicer, WitnessServicer

MAX_LINES_BYTES = 64 * 1024
_KEPT_HEADS = 8
OK = 200


class WitnessService(WitnessServicer):
    """The coordinator as a witness; behind the member port's gate."""

    def __init__(self, witness: Witness, database: Database, now_ms: Callable[[], int]) -> None:
        """Answer with `witness`, whose state is in `database`."""
        self._messages = WitnessMessages(witness, database, now_ms)

    def AddCheckpoint(  # noqa: N802 - the name in the .proto
        self,
        request: AddCheckpointRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> AddCheckpointAnswer:
        """Cosign a head, or say why not."""
        return self._messages.add_checkpoint(request)

    def Latest(  # noqa: N802 - the name in the .proto
        self,
        request: LatestHeadsRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> LatestHeads:
        """What is held of a log."""
        return self._messages.latest(request)


class DeskService(WitnessDeskServicer):
    """Where members come for heads of the coordinator's log."""

    def __init__(
        self,
        keeper: LogKeeper,
        keys: Callable[[str], list[CosignatureKey]],
    ) -> None:
        """Offer heads of `keeper`; `keys` are those that a member cosigns with."""
        self._keeper = keeper
        self._keys = keys
        self._lock = threading.Lock()
        self._offered: OrderedDict[int, SignedHead] = OrderedDict()

    def Offered(  # noqa: N802 - the name in the .proto
        self, request: LatestHeads, context: grpc.ServicerContext
    ) -> AddCheckpointRequest:
        """Hear what the caller holds; give it the newest head."""
        notes = read_notes(request)
        self._keeper.hear(peer_member(context), notes)
        head = self._keeper.newest() or self._keeper.sign()
        if head is None or not self._keeper.heard:
            return AddCheckpointRequest()
        old = max((_size(note, self._keeper.origin) for note in notes), default=0)
        if old > head.checkpoint.size:
            return AddCheckpointRequest()  # the next head is at least as large
        with self._lock:
            self._offered[head.checkpoint.size] = head
            while len(self._offered) > _KEPT_HEADS:
                self._offered.popitem(last=False)
        return AddCheckpointRequest(body=self._keeper.request(head, old))

    def Cosigned(  # noqa: N802 - the name in the .proto
        self, request: CosignedHead, context: grpc.ServicerContext
    ) -> CosignedHeadTaken:
        """Keep the caller's cosignature."""
        if len(request.answer.body) > MAX_LINES_BYTES:
            raise Malformed("a witness answered too much")
        with self._lock:
            head = self._offered.get(request.size)
        if head is not None and request.answer.status == OK:
            self._keeper.take(head, request.answer.body, self._keys(peer_member(context)))
        return CosignedHeadTaken()


def _size(note: bytes, origin: str) -> int:
    """The size in a note of this epoch; 0: it is of another one, or none."""
    try:
        checkpoint = Checkpoint.parse(Note.parse(note).text)
    except CredenceError:
        return 0
    return checkpoint.size if checkpoint.origin == origin else 0
