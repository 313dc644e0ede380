"""Calls that come at the same moment are answered together, one group after another.

A group shares a transaction, its commit to disk and one pass through the model: under load most of
what a score costs is shared by whoever waits. Nobody waits for a group to fill: the first call goes
alone, and who comes meanwhile is the next group.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Call = TypeVar("Call")
Outcome = TypeVar("Outcome")

MOST = 64  # calls in one group: it holds the write lock while it is answered


class Turns(Generic[Call, Outcome]):
    """Hands groups of calls to one function, in a thread of its own; thread-safe."""

    def __init__(
        self, answer: Callable[[Sequence[Call]], Sequence[Outcome]], most: int = MOST
    ) -> None:
        """Answer with `answer`, which gives one outcome a call, in their order.

        Args:
            answer: what it raises fails the group, which is then answered call by call, so that
                one call cannot fail another.
            most: calls in one group.
        """
        self._answer = answer
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Call, Future[Outcome]]] = deque()
        self._busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turns")

    def submit(self, call: Call) -> Future[Outcome]:
        """The call's outcome, or what answering it raised, when its turn is over."""
        future: Future[Outcome] = Future()
        with self._lock:
            self._waiting.append((call, future))
            begin, self._busy = not self._busy, True
        if begin:
            self._thread.submit(self._work)
        return future

    @property
    def waiting(self) -> int:
        """How many calls are in no group yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Answer who waits, then end the thread."""
        self._thread.shutdown()

    def _work(self) -> None:
        while True:
            with self._lock:
                number = min(len(self._waiting), self._most)
                group = [self._waiting.popleft() for _ in range(number)]
                if not group:
                    self._busy = False
                    return
            self._run(group)

    def _run(self, group: list[tuple[Call, Future[Outcome]]]) -> None:
        try:
            outcomes = self._answer([call for call, _ in group])
        except BaseException as error:  # noqa: BLE001 - it is whose future it is
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            for one in group:
                self._run([one])
            return
        for (_, future), outcome in zip(group, outcomes, strict=True):
            future.set_result(outcome)
