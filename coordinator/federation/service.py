"""The gRPC face of the training streams: `credence.v1.Federation`.

Rules of an Attach stream, on top of mutual TLS:
1. the caller is the active member its certificate names;
2. the first frame is that member's Hello, within `HELLO_S` seconds;
3. frames and messages keep the limits of `protocols.federation`;
4. what breaks a rule ends the stream with its code, and nothing of it counts.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import structlog

from coordinator.federation.streams import Attachment, HelloRefused, Streams
from protocols.errors import CredenceError
from protocols.v1.federation_pb2 import CoordinatorFrame, NodeFrame
from protocols.v1.federation_pb2_grpc import FederationServicer

log = structlog.get_logger(__name__)

HELLO_S = 10.0


@dataclass(frozen=True)
class Caller:
    """Who opened a stream: an active member, its number on the grid, what it said of its ledger."""

    member_id: str
    flower_node_id: int
    ledger: bytes = b""


class FederationService(FederationServicer):
    """Serves Attach; a stream holds one server thread for as long as it lives.

    Args:
        streams: where live streams are kept.
        identify: the caller of a call, by its certificate; raises a `CredenceError` for anyone
            who is not an active member.
    """

    def __init__(
        self, streams: Streams, identify: Callable[[grpc.ServicerContext], Caller]
    ) -> None:
        self._streams = streams
        self._identify = identify

    def Attach(  # noqa: N802 - the name in the .proto
        self, request_iterator: Iterator[NodeFrame], context: grpc.ServicerContext
    ) -> Iterator[CoordinatorFrame]:
        """Hold one member's stream until either side ends it."""
        # 1. The caller.
        caller = self._identify(context)
        attachment = self._streams.open(caller.member_id, caller.flower_node_id, caller.ledger)
        if not context.add_callback(attachment.end):
            return
        reader = threading.Thread(
            target=self._read, args=(request_iterator, attachment), name="attach", daemon=True
        )
        reader.start()
        try:
            yield from _outgoing(attachment)
        finally:
            self._streams.leave(attachment)
        # 4. Raised here, in the call's own thread, so that the transport maps it to its status.
        if attachment.failure is not None:
            raise attachment.failure

    def _read(self, requests: Iterator[NodeFrame], attachment: Attachment) -> None:
        try:
            for frame in requests:
                self._streams.receive(attachment, frame)
        except CredenceError as error:
            log.warning("federation.refused", member=attachment.member_id, code=error.code)
            attachment.end(error)
        except grpc.RpcError:
            attachment.end()  # the call is over
        else:
            attachment.end()


def _outgoing(attachment: Attachment) -> Iterator[CoordinatorFrame]:
    # 2. Nothing goes out before the Hello came.
    try:
        frame = attachment.frames.get(timeout=HELLO_S)
    except queue.Empty:
        attachment.failure = HelloRefused(f"no Hello within {HELLO_S:g} s")
        return
    while frame is not None:
        yield frame
        frame = attachment.frames.get()
