"""The gRPC face of the holder's side.

A stream is read no faster than it is answered: one message is under way at a time, and the next is
taken when the answer before it has left. A caller that does not read, or that asks too fast, is
held back by its own stream, and memory does not grow with its length.
"""

import time
from collections.abc import Callable, Iterator

import grpc

from node.exchange.service import ExchangeService
from node.network.transport import peer_member
from protocols.v1.exchange_pb2 import SealedAnswer, SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeServicer


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


def _now_ms() -> int:
    return int(time.time() * 1000)
