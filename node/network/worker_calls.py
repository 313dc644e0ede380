"""Servicers that block, behind a server that runs in one thread's event loop.

The member port is served by an event loop: for what is asked most, the exchange, a thread for each
call costs more than the work. All else is written as plain functions that wait for disks and other
members; they run here, each call in a thread of a pool, with a context like gRPC's own and with
iterators that wait. A caller that does not read holds its own call back and nobody else's: so many
messages are read ahead and written behind, and no more.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

READ_AHEAD = 16  # messages of one stream
WRITE_BEHIND = 64


class CallEnded(grpc.RpcError):
    """The caller went away, or its deadline is over."""


class CallAborted(Exception):
    """A servicer ended its call with a status, which the context keeps."""


class WorkerContext(grpc.ServicerContext):
    """What a servicer in a worker's thread sees of its call; thread-safe."""

    def __init__(self, context: Any) -> None:
        """Of a call that the loop serves; made in the loop's thread."""
        left_s = context.time_remaining()
        self._metadata = context.invocation_metadata() or ()
        self._auth = context.auth_context()
        self._peer = context.peer()
        self._ends_at = float("inf") if left_s is None else time.monotonic() + left_s
        self._lock = threading.Lock()
        self._over = False
        self._callbacks: list[Callable[[], None]] = []
        self._trailing: Any = ()
        self._code: grpc.StatusCode | None = None
        self._details = ""

    def finish(self) -> None:
        """The call is over: servicers that asked to be told are told."""
        with self._lock:
            self._over = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_active(self) -> bool:
        """Whether the caller still waits."""
        return not self._over

    def time_remaining(self) -> float:
        """Seconds until the caller's deadline."""
        return max(0.0, self._ends_at - time.monotonic())

    def cancel(self) -> bool:
        """End the call."""
        self.abort(grpc.StatusCode.CANCELLED, "")

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call back at the end of the call; False when it is over."""
        with self._lock:
            if self._over:
                return False
            self._callbacks.append(callback)
            return True

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with a status."""
        self._code, self._details = code, details
        raise CallAborted

    def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call with a status."""
        self._trailing = tuple(status.trailing_metadata or ())
        self.abort(status.code, status.details)

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """What goes with the status."""
        self._trailing = tuple(trailing_metadata)

    def trailing_metadata(self) -> Any:
        """What goes with the status."""
        return self._trailing

    def set_code(self, code: grpc.StatusCode) -> None:
        """The status to end with."""
        self._code = code

    def set_details(self, details: str) -> None:
        """And its text."""
        self._details = details

    def code(self) -> grpc.StatusCode | None:
        """The status set so far."""
        return self._code

    def details(self) -> str:
        """Its text."""
        return self._details

    def invocation_metadata(self) -> Any:
        """What the caller sent ahead."""
        return self._metadata

    def peer(self) -> str:
        """The caller's address."""
        return str(self._peer)

    def peer_identities(self) -> Any:
        """Not needed: the gate reads the certificate."""
        return None

    def peer_identity_key(self) -> Any:
        """Not needed: the gate reads the certificate."""
        return None

    def auth_context(self) -> Any:
        """What TLS knows of the caller."""
        return self._auth

    def send_initial_metadata(self, initial_metadata: Any) -> NoReturn:
        """No servicer here sends any."""
        raise NotImplementedError("initial metadata is not sent")

    def set_compression(self, compression: Any) -> None:
        """What travels is mostly encrypted: nothing is compressed."""

    def disable_next_message_compression(self) -> None:
        """What travels is mostly encrypted: nothing is compressed."""


class WorkerCalls:
    """Makes handlers for an event loop of handlers that block."""

    def __init__(self, workers: Executor) -> None:
        """Run them on `workers`."""
        self._workers = workers

    def handler(self, blocking: Any) -> Handler:
        """The handler to give to the loop's server for one that blocks."""
        behaviour = (
            blocking.stream_stream
            or blocking.stream_unary
            or blocking.unary_stream
            or blocking.unary_unary
        )
        read, write = blocking.request_streaming, blocking.response_streaming
        if not read and not write:
            make, serve = grpc.unary_unary_rpc_method_handler, self._unary(behaviour)
        else:
            make = {
                (False, True): grpc.unary_stream_rpc_method_handler,
                (True, False): grpc.stream_unary_rpc_method_handler,
                (True, True): grpc.stream_stream_rpc_method_handler,
            }[read, write]
            serve = self._stream(behaviour, read, write)
        return make(
            serve,
            request_deserializer=blocking.request_deserializer,
            response_serializer=blocking.response_serializer,
        )

    def _unary(self, behaviour: Callable[[Any, Any], Any]) -> Callable[..., Awaitable[Any]]:
        async def serve(request: Any, context: Any) -> Any:
            worker = WorkerContext(context)
            loop = asyncio.get_running_loop()
            try:
                answer = await loop.run_in_executor(self._workers, behaviour, request, worker)
            except CallAborted:
                await _abort(context, worker)
            finally:
                worker.finish()
            return answer

        return serve

    def _stream(
        self, behaviour: Callable[[Any, Any], Any], read: bool, write: bool
    ) -> Callable[..., Awaitable[Any]]:
        async def serve(request: Any, context: Any) -> Any:
            worker, loop = WorkerContext(context), asyncio.get_running_loop()
            inward, outward = _Inward(loop), _Outward(loop)

            def work() -> Any:
                try:
                    given = behaviour(inward.messages() if read else request, worker)
                    if not write:
                        return given
                    with closing(given):
                        for one in given:
                            outward.put(one)
                finally:
                    outward.end()

            reading = asyncio.create_task(inward.read(context)) if read else None
            working = loop.run_in_executor(self._workers, work)
            try:
                if write:
                    await outward.write(context)
                return await working
            except CallAborted:
                await _abort(context, worker)
            finally:
                if reading is not None:
                    reading.cancel()
                inward.end()
                outward.drop()
                worker.finish()

        return serve


async def _abort(context: Any, worker: WorkerContext) -> None:
    code = worker.code() or grpc.StatusCode.UNKNOWN
    await context.abort(code, worker.details(), tuple(worker.trailing_metadata()))


class _Inward:
    """The caller's messages, read ahead in the loop, taken in a worker's thread."""

    _END = object()
    _BROKEN = object()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(READ_AHEAD)

    async def read(self, context: Any) -> None:
        last = self._BROKEN
        try:
            while True:
                await self._room.acquire()
                message = await context.read()
                if message is grpc.aio.EOF:
                    last = self._END
                    return
                self._queue.put(message)
        finally:
            self._queue.put(last)

    def end(self) -> None:
        """Whoever still waits for a message is told that the call is over."""
        self._queue.put(self._BROKEN)

    def messages(self) -> Iterator[Any]:
        while True:
            message = self._queue.get()
            if message is self._END:
                return
            if message is self._BROKEN:
                raise CallEnded
            self._loop.call_soon_threadsafe(self._room.release)
            yield message


class _Outward:
    """Answers, put in a worker's thread and written in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answers: deque[Any] = deque()
        self._room = threading.Semaphore(WRITE_BEHIND)
        self._arrived = asyncio.Event()
        self._ended = self._dropped = False

    def put(self, answer: Any) -> None:
        self._room.acquire()
        if self._dropped:
            raise CallEnded
        self._answers.append(answer)
        self._loop.call_soon_threadsafe(self._arrived.set)

    def end(self) -> None:
        self._ended = True
        self._loop.call_soon_threadsafe(self._arrived.set)

    def drop(self) -> None:
        """Nobody reads any more."""
        self._dropped = True
        self._room.release()

    async def write(self, context: Any) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            ended = self._ended  # before the last look: what was put before the end is seen
            while self._answers:
                await context.write(self._answers.popleft())
                self._room.release()
            if ended:
                return
