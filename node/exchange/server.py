"""The gRPC face of the holder's side.

A stream is read no faster than it is answered: one message is under way at a time, and the next is
taken when the answer before it has left. A caller that does not read, or that asks too fast, is
held back by its own stream, and memory does not grow with its length.

On the member port both methods run in the port's event loop, and hand answers on as the bytes that
were signed; through the relay each call has a thread.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import grpc
import grpc.aio

from node.exchange.service import ExchangeService
from node.network.loop_gate import Call, Handler, LoopGate
from node.network.transport import peer_member
from protocols.v1.exchange_pb2 import SealedAnswer, SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeServicer

FETCH = "/credence.v1.Exchange/Fetch"
FETCH_BATCH = "/credence.v1.Exchange/FetchBatch"


class ExchangeServer(ExchangeServicer):
    """Answers `Fetch` and `FetchBatch`; behind a `MemberGate`, so that the caller is a member."""

    def __init__(
        self, service: ExchangeService, freshen: Callable[[str], None] = lambda _: None
    ) -> None:
        """Answer with `service`; `freshen` renews what proves the caller's consents, if it must."""
        self._service = service
        self._freshen = freshen

    def Fetch(  # noqa: N802 - the name in the .proto
        self, request: SealedRequest, context: grpc.ServicerContext
    ) -> SealedAnswer:
        """One sealed question, one sealed answer."""
        peer = peer_member(context)
        self._freshen(peer)
        return self._service.answer(request, peer, _now_ms())

    def FetchBatch(  # noqa: N802 - the name in the .proto
        self, request_iterator: Iterator[SealedRequest], context: grpc.ServicerContext
    ) -> Iterator[SealedAnswer]:
        """One answer for each question, in order; a refused question ends the stream."""
        peer = peer_member(context)
        for request in request_iterator:
            self._freshen(peer)
            yield self._service.answer(request, peer, _now_ms(), held_back=True)


class Proofs(Protocol):
    """What proves a caller's consents, kept fresh; `node.consents.status_keeper.StatusKeeper`."""

    def settled(self, controller: str) -> bool:
        """Whether `ensure` has nothing to do."""
        ...

    def ensure(self, controller: str) -> None:
        """Renew what is stale; may wait, never raises."""
        ...


def exchange_methods(
    service: ExchangeService, proofs: Proofs, gate: LoopGate
) -> Mapping[str, Handler]:
    """The same for an event loop."""

    async def fetch(request: SealedRequest, peer: str) -> bytes:
        if not proofs.settled(peer):
            await gate.in_worker(proofs.ensure, peer)
        return await service.answer_soon(request, peer, _now_ms())

    async def fetch_batch(call: Call, peer: str) -> None:
        while (request := await call.read()) is not grpc.aio.EOF:
            if not proofs.settled(peer):
                await gate.in_worker(proofs.ensure, peer)
            await call.write(await service.answer_soon(request, peer, _now_ms(), held_back=True))

    return {
        FETCH: gate.single(FETCH, fetch, SealedRequest.FromString, None),
        FETCH_BATCH: gate.stream(FETCH_BATCH, fetch_batch, SealedRequest.FromString, None),
    }


def _now_ms() -> int:
    return int(time.time() * 1000)
