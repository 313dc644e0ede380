"""The gRPC face of the relay: `credence.v1.Relay`, at the member port.

Behind the port's `MemberGate`: caller and callee are the active members their certificates name.
What breaks a rule of the switchboard ends its stream with its code.
"""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import structlog

from coordinator.relay.switchboard import Circuit, Frames, Line, Switchboard
from coordinator.transport import peer_member
from protocols.errors import CredenceError
from protocols.relay import RelayBusy, RelayFrameRefused
from protocols.v1.relay_pb2 import RelayFrame
from protocols.v1.relay_pb2_grpc import RelayServicer

OWN_STREAMS = 2  # a line, and the newer one that replaces it

log = structlog.get_logger(__name__)


class RelayService(RelayServicer):
    """Serves lines and calls; each holds one server thread for as long as it lives."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._lock = threading.Lock()
        self._streams: Counter[str] = Counter()

    @contextmanager
    def _admitted(self, member_id: str) -> Iterator[None]:
        # Before the first frame is waited for: a stream that says nothing holds a thread too.
        limits = self._switchboard.limits
        with self._lock:
            if (
                self._streams[member_id] >= limits.calls_per_caller + OWN_STREAMS
                or self._streams.total() >= limits.calls + limits.streams
            ):
                raise RelayBusy(f"{member_id} or all members have too many streams open")
            self._streams[member_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams[member_id] -= 1

    def Serve(  # noqa: N802 - the name in the .proto
        self, request_iterator: Iterator[RelayFrame], context: grpc.ServicerContext
    ) -> Iterator[RelayFrame]:
        """Keep one member's line until either side ends it."""
        with self._admitted(peer_member(context)):
            yield from self._serve(request_iterator, context)

    def Call(  # noqa: N802 - the name in the .proto
        self, request_iterator: Iterator[RelayFrame], context: grpc.ServicerContext
    ) -> Iterator[RelayFrame]:
        """Carry one call until it is over."""
        with self._admitted(peer_member(context)):
            yield from self._call(request_iterator, context)

    def _serve(
        self, request_iterator: Iterator[RelayFrame], context: grpc.ServicerContext
    ) -> Iterator[RelayFrame]:
        board = self._switchboard
        reader = _Reader(request_iterator, context)
        line = board.attach(peer_member(context), reader.first(board.limits.first_frame_s))

        def take(frame: RelayFrame) -> None:
            board.from_line(line, frame)

        reader.feed(take, line.end)
        try:
            yield from _drain(line.frames)
        finally:
            board.detach(line)
        _raise(line)

    def _call(
        self, request_iterator: Iterator[RelayFrame], context: grpc.ServicerContext
    ) -> Iterator[RelayFrame]:
        board = self._switchboard
        reader = _Reader(request_iterator, context)
        circuit = board.dial(peer_member(context), reader.first(board.limits.first_frame_s))

        def take(frame: RelayFrame) -> None:
            board.from_caller(circuit, frame)

        def end(failure: CredenceError | None = None) -> None:
            # A caller that has sent all may still wait for answers: only a failure ends the call.
            if failure is not None or not context.is_active():
                board.hang_up(circuit, failure)

        reader.feed(take, end)
        if not context.add_callback(lambda: board.hang_up(circuit)):
            board.hang_up(circuit)
        try:
            yield from _drain(circuit.frames)
        finally:
            board.hang_up(circuit)
        _raise(circuit)


class _Reader:
    """Reads a stream's frames in a thread of its own."""

    def __init__(self, requests: Iterator[RelayFrame], context: grpc.ServicerContext) -> None:
        self._requests = requests
        self._context = context
        self._first: queue.SimpleQueue[RelayFrame | None] = queue.SimpleQueue()
        self._ready = threading.Event()
        self._take: Callable[[RelayFrame], None] = lambda _: None
        self._end: Callable[[CredenceError | None], None] = lambda _: None
        threading.Thread(target=self._read, name="relay", daemon=True).start()

    def first(self, seconds: float) -> RelayFrame:
        """The first frame.

        Raises:
            RelayFrameRefused: none came in time.
        """
        try:
            frame = self._first.get(timeout=seconds)
        except queue.Empty:
            frame = None
        if frame is None:
            self._ready.set()
            raise RelayFrameRefused("the stream did not begin")
        return frame

    def feed(
        self,
        take: Callable[[RelayFrame], None],
        end: Callable[[CredenceError | None], None],
    ) -> None:
        """Hand every further frame to `take`, and the end to `end`."""
        self._take, self._end = take, end
        self._ready.set()

    def _read(self) -> None:
        failure: CredenceError | None = None
        try:
            self._first.put(next(self._requests, None))
            # No frame is taken before somebody stands ready; the stream's own window holds them.
            while not self._ready.wait(1.0) and self._context.is_active():
                pass
            for frame in self._requests:
                self._take(frame)
        except CredenceError as error:
            log.warning("relay.refused", code=error.code)
            failure = error
        except grpc.RpcError:
            pass  # the call is over
        except Exception as error:  # noqa: BLE001 - its text may quote data
            log.error("relay.failed", error=type(error).__name__)  # noqa: TRY400
            failure = CredenceError("the relay failed")
        finally:
            self._first.put(None)
            self._end(failure)


def _drain(frames: Frames) -> Iterator[RelayFrame]:
    while (frame := frames.get()) is not None:
        yield frame


def _raise(ended: Line | Circuit) -> None:
    # In the call's own thread, so that the transport maps it to its status.
    if ended.failure is not None:
        raise ended.failure
