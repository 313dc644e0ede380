"""Group commit: what several threads want written goes into one transaction.

Whoever comes first leads: it takes what waits, writes it at once and hands out the outcomes, then
hands the lead to the next that waits. Meanwhile others queue up for the next group. One caller
alone pays nothing for it; many share the transaction's cost, above all the wait for the disk.

A group is filled in turns, one item of each peer at a time, so that a peer with many items waiting
delays another's single one by one group at most.

Threads wait for their outcome; event loops are told it, of a group each loop once; a concurrent
future is set. Where the next that waits is no thread, one of the group's own leads until nothing is
left.
"""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

CROWD = 8
GATHER_S = 0.004
MOST_OF_IT = 2 / 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    weight: int
    woken: threading.Event | None = None  # where a thread waits
    done: bool = False  # otherwise it was woken to lead
    result: Result | None = None
    error: Exception | None = None
    # Where no thread waits:
    future: "asyncio.Future[Result] | Future[Result] | None" = None


_Told: TypeAlias = "tuple[asyncio.Future[Result], Result | Exception]"


class GroupCommit(Generic[Item, Result]):
    """Runs `commit` for groups of items, one group at a time."""

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        max_weight: int,
        *,
        gather_s: float = GATHER_S,
        most: float = MOST_OF_IT,
    ) -> None:
        """Group items for `commit`.

        Args:
            commit: given items, those of one peer in the order they came; gives for each its
                result, or the error that concerns it alone. What it raises concerns all of them.
            max_weight: a group's weights sum to at most this, unless it is one item.
            gather_s: how long most of a crowd is waited for.
            most: the share of a crowd that is waited for.
        """
        self._commit = commit
        self._max_weight = max_weight
        self._gather_s = gather_s
        self._most = most
        self._lock = threading.Lock()
        self._enough = threading.Condition(self._lock)
        self._wanted = 0  # the keeper gathers until so many wait
        self._waiting = 0
        self._crowd = 0  # how many were under way at a time, lately
        # By peer, the peer whose turn is next first; no queue is empty.
        self._queues: OrderedDict[str, deque[_Waiting[Item, Result]]] = OrderedDict()
        self._led = False
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="group")

    def submit(self, item: Item, weight: int = 1, peer: str = "") -> Result:
        """Have `item` committed, and return its result.

        Raises:
            Exception: what `commit` gave for this item or raised for its group.
        """
        woken = threading.Event()
        mine: _Waiting[Item, Result] = _Waiting(item, weight, woken)
        if not self._queue(mine, peer):
            woken.wait()
        if not mine.done:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]  # set with `done`

    async def submit_soon(self, item: Item, weight: int = 1, peer: str = "") -> Result:
        """As `submit`, for an event loop.

        Raises:
            Exception: as `submit`.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        mine: _Waiting[Item, Result] = _Waiting(item, weight, future=future)
        if self._queue(mine, peer):
            self._keeper.submit(self._keep)
        return await future

    def submit_later(self, item: Item, weight: int = 1, peer: str = "") -> "Future[Result]":
        """As `submit`, at once; the future is given the result, or what `submit` would raise."""
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()  # what was taken is committed
        mine: _Waiting[Item, Result] = _Waiting(item, weight, future=future)
        if self._queue(mine, peer):
            self._keeper.submit(self._keep)
        return future

    @property
    def waiting(self) -> int:
        """How many items are in no group yet."""
        return self._waiting

    def close(self) -> None:
        """Commit what waits, then end the group's own thread; nobody submits any more."""
        self._keeper.shutdown()

    def _queue(self, mine: _Waiting[Item, Result], peer: str) -> bool:
        """Queue; whether the caller has to see to it that somebody leads."""
        with self._lock:
            self._queues.setdefault(peer, deque()).append(mine)
            self._waiting += 1
            if 0 < self._wanted <= self._waiting:
                self._enough.notify()
            lead, self._led = not self._led, True
            return lead

    def _keep(self) -> None:
        """Lead until nothing waits."""
        while group := self._take(end=True):
            self._run(group)
            self._gather(len(group))

    def _gather(self, done: int) -> None:
        """Where a crowd asks, wait a moment for most of it: every group has its price.

        As PostgreSQL's `commit_delay` does. Who asks alone, or with a few others, does not wait.
        """
        with self._lock:
            self._crowd = max(done + self._waiting, self._crowd - 1)
            if self._crowd < CROWD:
                return
            self._wanted = int(self._crowd * self._most)
            self._enough.wait_for(lambda: self._waiting >= self._wanted, self._gather_s)
            self._wanted = 0

    def _lead(self, leader: _Waiting[Item, Result]) -> None:
        """Commit groups until the leader's own item is among them."""
        while not leader.done:
            self._run(self._take())
        self._pass_on()

    def _run(self, group: Sequence[_Waiting[Item, Result]]) -> None:
        try:
            outcomes: Sequence[Result | Exception] = self._commit([one.item for one in group])
        except Exception as error:  # noqa: BLE001 - each caller gets it
            outcomes = [error] * len(group)
        except BaseException:
            self._hand_out(group, [RuntimeError("the group was broken off")] * len(group))
            self._pass_on()
            raise
        if len(outcomes) != len(group):
            outcomes = [RuntimeError("the group's outcomes are not its items'")] * len(group)
        self._hand_out(group, outcomes)

    def _take(self, *, end: bool = False) -> list[_Waiting[Item, Result]]:
        """The next group; with `end`, nobody leads any more when nothing waits."""
        group: list[_Waiting[Item, Result]] = []
        weight = 0
        with self._lock:
            while self._queues:
                peer, queue = next(iter(self._queues.items()))
                if group and weight + queue[0].weight > self._max_weight:
                    break
                weight += queue[0].weight
                group.append(queue.popleft())
                self._waiting -= 1
                self._queues.move_to_end(peer)
                if not queue:
                    del self._queues[peer]
            if end and not group:
                self._led = False
        return group

    def _hand_out(
        self, group: Sequence[_Waiting[Item, Result]], outcomes: Sequence[Result | Exception]
    ) -> None:
        told: dict[asyncio.AbstractEventLoop, list[_Told[Result]]] = {}
        for waiting, outcome in zip(group, outcomes, strict=True):
            if isinstance(waiting.future, asyncio.Future):
                loop = waiting.future.get_loop()
                told.setdefault(loop, []).append((waiting.future, outcome))
                continue
            if waiting.future is not None:
                _set(waiting.future, outcome)
                continue
            if isinstance(outcome, Exception):
                waiting.error = outcome
            else:
                waiting.result = outcome
            waiting.done = True
            if waiting.woken is not None:
                waiting.woken.set()
        for loop, outcomes_of_loop in told.items():
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(_tell, outcomes_of_loop)

    def _pass_on(self) -> None:
        """Let the next that waits lead, or nobody."""
        with self._lock:
            if not self._queues:
                self._led = False
                return
            first = next(iter(self._queues.values()))[0]
        if first.woken is not None:
            first.woken.set()
        else:
            self._keeper.submit(self._keep)


def _tell(outcomes: "Sequence[_Told[Result]]") -> None:
    for future, outcome in outcomes:
        if not future.done():  # otherwise its call is over
            _set(future, outcome)


def _set(future: "asyncio.Future[Result] | Future[Result]", outcome: "Result | Exception") -> None:
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
