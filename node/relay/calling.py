"""One relayed call at its caller, with the face of a gRPC call.

Requests go out in a thread of their own, as fast as the callee reads; answers are read by whoever
iterates. An answer is believed only when it opens as the next frame of this very call, and the call
has succeeded only when the callee's sealed status says so; all else raises a `grpc.RpcError` whose
trailing metadata carries the code, exactly as a direct call's would.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from node.network.rpc_errors import CODE_KEY, RETRY_KEY, STATUS
from node.relay.credit import Credit
from protocols.errors import CredenceError, error_classes
from protocols.relay import (
    DEFAULT_RELAY_LIMITS,
    RelayAbsent,
    RelayFrameRefused,
    RelayTruncated,
    check_frame,
)
from protocols.relay_frames import End, Message
from protocols.relay_seal import SealedCall
from protocols.v1.relay_pb2 import RelayDial, RelayFrame, RelayOpening, RelayStatus, RelayTicket

Open = Callable[[RelayTicket, int], tuple[RelayOpening, SealedCall]]
"""Given a ticket and milliseconds to wait, opens the call; see `protocols.relay_seal.open_call`."""

Start = Callable[[Iterator[RelayFrame], float | None], Any]
"""Opens the stream to the relay: frames to send and a timeout; a call to iterate and cancel."""

_STATUSES = {status.value[0]: status for status in grpc.StatusCode}
# At these the member is not reachable now, as when a direct connection fails: no code of its own.
_UNREACHABLE = frozenset({RelayAbsent.code})


class RelayRpcError(grpc.RpcError, grpc.Call):
    """How a relayed call failed, in the form of a direct call's failure."""

    def __init__(
        self, status: grpc.StatusCode, code: str, details: str, retry_after_ms: int = 0
    ) -> None:
        super().__init__(details)
        self._retry_after_ms = retry_after_ms
        self._status = status
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._status

    def details(self) -> str:
        """Its text."""
        return self._details

    def trailing_metadata(self) -> Any:
        """The stable code and when to come back, where there is such."""
        told = ((CODE_KEY, self._code), (RETRY_KEY, str(self._retry_after_ms or "")))
        return tuple((key, value) for key, value in told if value)

    def initial_metadata(self) -> Any:
        """None travels through the relay."""
        return ()

    def is_active(self) -> bool:
        """It is over."""
        return False

    def time_remaining(self) -> float:
        """It is over."""
        return 0.0

    def cancel(self) -> bool:
        """It is over."""
        return False

    def add_callback(self, callback: Any) -> bool:  # noqa: ARG002 - gRPC's signature
        """It is over."""
        return False


@dataclass(frozen=True)
class Codec:
    """How a method's messages become bytes.

    Attributes:
        serialize: of a request.
        deserialize: of an answer.
        answer_bytes: longest answer that is taken.
    """

    serialize: Callable[[Any], bytes]
    deserialize: Callable[[bytes], Any]
    answer_bytes: int


class RelayedCall(Iterator[Any]):
    """Iterates over the answers; ends the call when dropped."""

    def __init__(
        self,
        callee: str,
        requests: Iterator[Any],
        codec: Codec,
        *,
        open_call: Open,
        start: Start,
        timeout: float | None,
        unreachable: Callable[[], None],
    ) -> None:
        """Dial `callee` and begin to send `requests`; `unreachable` is told when that fails."""
        self._codec = codec
        self._open = open_call
        self._timeout = timeout
        self._unreachable = unreachable
        self._ends_at = None if timeout is None else time.monotonic() + timeout
        self._sealed: SealedCall | None = None
        self._failed: grpc.RpcError | None = None
        self._done = False
        self._sender = _Sender(requests, codec, self._remaining_s)
        self._sender.put(RelayFrame(dial=RelayDial(callee=callee)))
        self._stream = start(self._sender.frames(), timeout)
        self._sender.abandon = self._stream.cancel

    def __next__(self) -> Any:
        """The next answer.

        Raises:
            RelayRpcError: the call failed.
        """
        if self._failed is not None:
            raise self._failed
        if self._done:
            raise StopIteration
        try:
            return self._read()
        except CredenceError as error:
            raise self._fail(_as_rpc(error)) from error
        except RelayRpcError as error:
            raise self._fail(error) from error.__cause__
        except grpc.RpcError as error:
            own = self._sender.failure
            raise self._fail(_from_relay(error) if own is None else _as_rpc(own)) from error

    def cancel(self) -> bool:
        """End the call; its answers are lost."""
        self._over()
        return True

    def __del__(self) -> None:
        """Nobody reads any more."""
        if hasattr(self, "_stream"):
            self._over()

    def _read(self) -> Any:
        for frame in self._stream:
            kind = check_frame(frame, DEFAULT_RELAY_LIMITS)
            if kind == "ticket" and self._sealed is None:
                self._begin(frame.ticket)
            elif kind == "sealed" and self._sealed is not None:
                taken = self._sealed.incoming.take(frame.sealed, self._codec.answer_bytes)
                self._sender.put(RelayFrame(credit=1))
                if isinstance(taken, Message):
                    return self._codec.deserialize(taken.data)
                if isinstance(taken, End):
                    self._conclude(taken)
            elif kind == "credit":
                self._sender.credit.give(frame.credit)
            elif kind == "close":
                raise _closed(frame.close.code)
            else:
                raise RelayFrameRefused(f"a {kind} frame out of its place in a call")
        raise RelayTruncated("the relay ended the call before its sealed status")

    def _begin(self, ticket: RelayTicket) -> None:
        left = self._remaining_s()
        timeout_ms = 0 if self._timeout is None else max(1, min(int(left * 1000), 2**32 - 1))
        opening, self._sealed = self._open(ticket, timeout_ms)
        self._sender.begin(opening, self._sealed)

    def _conclude(self, end: End) -> None:
        self._done = True
        self._over()
        try:
            told = RelayStatus.FromString(end.status)
        except ValueError as error:
            raise RelayFrameRefused("a call without a status") from error
        if told.status or told.code:
            status = _STATUSES.get(told.status, grpc.StatusCode.UNKNOWN)
            raise RelayRpcError(status, told.code, told.details, told.retry_after_ms)
        raise StopIteration

    def _fail(self, error: grpc.RpcError) -> grpc.RpcError:
        self._failed = error
        self._over()
        if self._sealed is None and _is_unreachable(error):
            self._unreachable()
        return error

    def _over(self) -> None:
        self._sender.end()
        self._stream.cancel()

    def _remaining_s(self) -> float:
        return 3600.0 if self._ends_at is None else self._ends_at - time.monotonic()


class _Sender:
    """Seals requests and feeds the stream; holds nothing of the call, so that it can be dropped."""

    def __init__(
        self, requests: Iterator[Any], codec: Codec, remaining_s: Callable[[], float]
    ) -> None:
        self._requests = requests
        self._serialize = codec.serialize
        self._ends_at = time.monotonic() + remaining_s()
        self._queue: queue.SimpleQueue[RelayFrame | None] = queue.SimpleQueue()
        self.credit = Credit()
        self.failure: CredenceError | None = None
        self.abandon: Callable[[], object] = self.end

    def put(self, frame: RelayFrame) -> None:
        """Send a frame."""
        self._queue.put(frame)

    def frames(self) -> Iterator[RelayFrame]:
        """What the stream sends, until the call is over."""
        return iter(self._queue.get, None)

    def begin(self, opening: RelayOpening, sealed: SealedCall) -> None:
        """Send the opening, then the requests as they are credited."""
        self._queue.put(RelayFrame(opening=opening))
        threading.Thread(target=self._send, args=(sealed,), name="relay-call", daemon=True).start()

    def end(self) -> None:
        """The call is over."""
        self.credit.end()
        self._queue.put(None)

    def _send(self, sealed: SealedCall) -> None:
        try:
            for request in self._requests:
                for frame in sealed.outgoing.message(self._serialize(request)):
                    if not self._credited():
                        return
                    self._queue.put(RelayFrame(sealed=frame))
            if self._credited():
                self._queue.put(RelayFrame(sealed=sealed.outgoing.end()))
        except Exception:  # noqa: BLE001 - whose text may quote data; gRPC too ends the call then
            self.failure = CredenceError("making a request failed")
            self.abandon()

    def _credited(self) -> bool:
        return self.credit.take(lambda: self._ends_at - time.monotonic())


def _closed(code: str) -> CredenceError:
    # Outside the seal: it can say why a call failed, never that it succeeded.
    cls = error_classes().get(code, RelayTruncated)
    if not code or cls.__init__ is not CredenceError.__init__:
        cls = RelayTruncated
    return cls("the call was ended before its sealed status")


def _as_rpc(error: CredenceError) -> RelayRpcError:
    code = "" if error.code in _UNREACHABLE else error.code
    return RelayRpcError(STATUS[error.category], code, error.message)


def _is_unreachable(error: grpc.RpcError) -> bool:
    return isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAVAILABLE


def _from_relay(error: grpc.RpcError) -> grpc.RpcError:
    """The relay's own refusal or the loss of the way to it."""
    if not isinstance(error, grpc.Call):
        return error
    code = next((value for key, value in error.trailing_metadata() or () if key == CODE_KEY), "")
    if code in _UNREACHABLE:
        return RelayRpcError(grpc.StatusCode.UNAVAILABLE, "", error.details() or "")
    return RelayRpcError(error.code(), str(code), error.details() or "")
