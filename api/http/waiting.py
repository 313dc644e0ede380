"""Results of other threads, awaited on the event loop and handed to it together.

`asyncio.wrap_future` wakes the loop once for every result. A group of calls ends at one moment:
each wake would let the loop take the interpreter away from the thread that still has results to
hand over.
"""

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Waiting:
    """Who waits, on one event loop."""

    def __init__(self) -> None:
        self._over: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._told = False

    async def result(self, future: Future[Result]) -> Result:
        """What `future` gives, or raises; who goes away meanwhile leaves it alone."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Result] = loop.create_future()
        future.add_done_callback(lambda done: self._tell(loop, waiter, done))
        return await waiter

    def _tell(
        self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[Any], done: Future[Any]
    ) -> None:
        self._over.append((waiter, done))
        if not self._told:
            self._told = True
            loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        self._told = False  # before looking: what comes from now on tells again
        while self._over:
            waiter, done = self._over.popleft()
            if waiter.done():  # its caller has gone
                continue
            error = done.exception()
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(done.result())
