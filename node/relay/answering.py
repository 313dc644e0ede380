"""One relayed call at its callee: the same handler behind the same gate as a direct call.

What the seal proved about the caller takes the place of its TLS certificate; from there on nothing
differs. A request that does not open, or a stream of requests that stops without its sealed end,
fails the call with its code; what was served before it broke was authentic and in order.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import grpc

from node.network.rpc_errors import CODE_KEY, MAX_DETAILS, RETRY_KEY, STATUS, PeerTooSlow
from node.relay.context import CallAborted, SealedContext
from node.relay.credit import Credit
from protocols.errors import CredenceError
from protocols.relay import (
    DEFAULT_RELAY_LIMITS,
    RelayFrameRefused,
    RelayOverrun,
    RelayTruncated,
)
from protocols.relay_frames import End, Message
from protocols.relay_seal import AcceptedCall
from protocols.v1.relay_pb2 import RelayClose, RelayFrame, RelayStatus

Handler = Any  # grpc.RpcMethodHandler: its attributes have no types
Send = Callable[[RelayFrame], None]


class AnsweredCall:
    """One call; frames come in from the line's thread, all else runs in the call's own."""

    def __init__(self, number: int, send: Send, request_bytes: int) -> None:
        """Answer call `number` with `send`; messages of up to `request_bytes` are taken."""
        self._number = number
        self._send_frame = send
        self._request_bytes = request_bytes
        self._inbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._credit = Credit()
        self._lock = threading.Lock()
        self._unread: deque[int] = deque()  # bytes of each
        self._over = False
        self._context: SealedContext | None = None

    # From the line's thread.

    def take(self, sealed: bytes) -> None:
        """A frame of the caller.

        Raises:
            RelayOverrun: more than was credited.
        """
        limits = DEFAULT_RELAY_LIMITS
        with self._lock:
            self._unread.append(len(sealed))
            if len(self._unread) > limits.window or sum(self._unread) > limits.window_bytes:
                raise RelayOverrun("more frames than were credited")
        self._inbox.put(sealed)

    def credited(self, frames: int) -> None:
        """The caller has read `frames`."""
        self._credit.give(frames)

    def end(self) -> None:
        """The caller is gone, or the line is."""
        with self._lock:
            self._over = True
            context = self._context
        self._inbox.put(None)
        self._credit.end()
        if context is not None:
            context.finish()

    # From the call's thread.

    def refuse(self, code: str) -> None:
        """End a call that has no keys yet; the code goes unsealed."""
        self._send(close=RelayClose(code=code))

    def run(self, accepted: AcceptedCall, handler: Handler) -> None:
        """Serve the call to its end."""
        context = SealedContext(accepted)
        with self._lock:
            self._context = context
            over = self._over
        if over:
            context.finish()
        status = self._serve(accepted, handler, context)
        context.finish()
        sealed = accepted.sealed.outgoing.end(status.SerializeToString())
        if self._credit.take(lambda: max(context.time_remaining(), 1.0)):
            self._send(sealed=sealed)
        self._send(close=RelayClose())

    def _serve(
        self, accepted: AcceptedCall, handler: Handler, context: SealedContext
    ) -> RelayStatus:
        requests = self._requests(accepted, handler, context)
        try:
            given = requests if handler.request_streaming else _only(requests)
            answer = _behaviour(handler)(given, context)
            serialize = handler.response_serializer or bytes
            if not handler.response_streaming:
                self._answer(accepted, serialize(answer), context)
                return RelayStatus()
            with closing(answer):
                for one in answer:
                    self._answer(accepted, serialize(one), context)
        except CallAborted:
            return _status(context)
        except CredenceError as error:
            return _told(STATUS[error.category], error.code, error.message)
        except Exception:  # noqa: BLE001 - the gate around the handler has logged it
            return _status(context)
        return RelayStatus()

    def _answer(self, accepted: AcceptedCall, data: bytes, context: SealedContext) -> None:
        for sealed in accepted.sealed.outgoing.message(data):
            if not self._credit.take(context.time_remaining):
                raise PeerTooSlow("the caller does not read its answers")
            self._send(sealed=sealed)

    def _requests(
        self, accepted: AcceptedCall, handler: Handler, context: SealedContext
    ) -> Iterator[Any]:
        """The caller's messages.

        Raises:
            RelaySealBroken, RelayFrameRefused: a frame does not open or does not belong there.
            RelayTruncated: the call ended before its sealed end.
            PeerTooSlow: its time is over.
        """
        deserialize = handler.request_deserializer or bytes
        while True:
            try:
                frame = self._inbox.get(timeout=min(context.time_remaining(), 3600.0))
            except queue.Empty:
                raise PeerTooSlow("the caller's deadline is over") from None
            if frame is None:
                self._inbox.put(None)  # the end stays the end
                raise RelayTruncated("the call ended before all of it had come")
            with self._lock:
                self._unread.popleft()
            taken = accepted.sealed.incoming.take(frame, self._request_bytes)
            self._send(credit=1)
            if isinstance(taken, End):
                return
            if isinstance(taken, Message):
                yield deserialize(taken.data)

    def _send(self, **frame: Any) -> None:
        self._send_frame(RelayFrame(call=self._number, **frame))


def _behaviour(handler: Handler) -> Callable[[Any, grpc.ServicerContext], Any]:
    found: Callable[[Any, grpc.ServicerContext], Any] = (
        handler.stream_stream or handler.stream_unary or handler.unary_stream or handler.unary_unary
    )
    return found


def _only(requests: Iterator[Any]) -> Any:
    first = next(requests, None)
    if first is None or next(requests, None) is not None:
        raise RelayFrameRefused("this method takes one message")
    return first


def _status(context: SealedContext) -> RelayStatus:
    told = {key: str(value) for key, value in context.trailing_metadata()}
    status = _told(
        context.code() or grpc.StatusCode.UNKNOWN, told.get(CODE_KEY, ""), context.details()
    )
    status.retry_after_ms = int(told.get(RETRY_KEY, "0"))
    return status


def _told(status: grpc.StatusCode, code: str, details: str) -> RelayStatus:
    return RelayStatus(status=status.value[0], code=code, details=details[:MAX_DETAILS])
