"""Handlers that run in the event loop itself, behind the same gate as all others.

The checks are `node.network.transport.MemberGate`'s. Only what may wait, getting a newer directory,
leaves the loop: for a thread.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeAlias, TypeVar

import grpc
import grpc.aio

from node.network.gate import MemberGate
from node.network.rpc_errors import refusal

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

A = TypeVar("A")
T = TypeVar("T")


class Call(Protocol):
    """A call as a loop's handler sees it."""

    async def read(self) -> Any:
        """The next message of the caller's stream; `grpc.aio.EOF` after the last."""
        ...

    async def write(self, message: Any) -> None:
        """Send an answer on the stream; returns when there is room for another."""
        ...


Single: TypeAlias = Callable[[Any, str], Awaitable[Any]]
"""(request, caller's member id) -> answer."""

Stream: TypeAlias = Callable[[Call, str], Awaitable[None]]
"""(call, caller's member id): reads and writes."""


class LoopGate:
    """Wraps handlers of the loop."""

    def __init__(self, gate: MemberGate, workers: Executor) -> None:
        """Admit by `gate`; what waits is run on `workers`."""
        self._gate = gate
        self._workers = workers

    def single(self, method: str, handler: Single, deserialize: Any, serialize: Any) -> Handler:
        """A method of one question and one answer."""

        async def serve(request: Any, context: Any) -> Any:
            async with _errors_as_status(context, method):
                with self._gate.counted(context, await self._identified(context)) as member_id:
                    return await handler(request, member_id)

        return grpc.unary_unary_rpc_method_handler(serve, deserialize, serialize)

    def stream(self, method: str, handler: Stream, deserialize: Any, serialize: Any) -> Handler:
        """A method of many questions and many answers."""

        async def serve(_requests: Any, context: Any) -> None:
            async with _errors_as_status(context, method):
                with self._gate.counted(context, await self._identified(context)) as member_id:
                    await handler(context, member_id)

        return grpc.stream_stream_rpc_method_handler(serve, deserialize, serialize)

    async def in_worker(self, work: Callable[[A], T], argument: A) -> T:
        """Run what may wait in a worker's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, work, argument)

    async def _identified(self, context: Any) -> str:
        member_id = self._gate.identified_at_once(context)
        if member_id is None:
            member_id = await self.in_worker(self._gate.identify, context)
        return member_id


@asynccontextmanager
async def _errors_as_status(context: Any, method: str) -> AsyncIterator[None]:
    """As `node.network.rpc_errors.errors_as_status`, in the loop."""
    try:
        yield
    except (grpc.RpcError, grpc.aio.AbortError):
        raise
    except grpc.aio.InternalError as error:
        raise asyncio.CancelledError from error  # the caller went away: nobody reads a status
    except Exception as error:  # noqa: BLE001 - it becomes a status, and is logged
        known = refusal(error, method)
        await context.abort(known.status, known.details, known.metadata)
