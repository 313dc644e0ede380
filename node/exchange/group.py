"""Group commit: what several threads want written goes into one transaction.

Whoever comes first leads: it takes what waits, writes it at once and hands out the outcomes, then
hands the lead to the next that waits. Meanwhile others queue up for the next group. One caller
alone pays nothing for it; many share the transaction's cost, above all the wait for the disk.

A group is filled in turns, one item of each peer at a time, so that a peer with many items waiting
delays another's single one by one group at most.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    weight: int
    woken: threading.Event = field(default_factory=threading.Event)
    done: bool = False  # otherwise it was woken to lead
    result: Result | None = None
    error: Exception | None = None


class GroupCommit(Generic[Item, Result]):
    """Runs `commit` for groups of items, one group at a time."""

    def __init__(
        self, commit: Callable[[Sequence[Item]], Sequence[Result | Exception]], max_weight: int
    ) -> None:
        """Group items for `commit`.

        Args:
            commit: given items, those of one peer in the order they came; gives for each its
                result, or the error that concerns it alone. What it raises concerns all of them.
            max_weight: a group's weights sum to at most this, unless it is one item.
        """
        self._commit = commit
        self._max_weight = max_weight
        self._lock = threading.Lock()
        # By peer, the peer whose turn is next first; no queue is empty.
        self._queues: OrderedDict[str, deque[_Waiting[Item, Result]]] = OrderedDict()
        self._led = False

    def submit(self, item: Item, weight: int = 1, peer: str = "") -> Result:
        """Have `item` committed, and return its result.

        Raises:
            Exception: what `commit` gave for this item or raised for its group.
        """
        mine: _Waiting[Item, Result] = _Waiting(item, weight)
        with self._lock:
            self._queues.setdefault(peer, deque()).append(mine)
            lead, self._led = not self._led, True
        if not lead:
            mine.woken.wait()
        if not mine.done:
            self._lead(mine)
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]  # set with `done`

    def _lead(self, leader: _Waiting[Item, Result]) -> None:
        """Commit groups until the leader's own item is among them."""
        while not leader.done:
            group = self._take()
            try:
                outcomes: Sequence[Result | Exception] = self._commit([one.item for one in group])
            except Exception as error:  # noqa: BLE001 - each caller gets it
                outcomes = [error] * len(group)
            except BaseException:
                self._hand_out(group, [RuntimeError("the group was broken off")] * len(group))
                self._pass_on()
                raise
            self._hand_out(group, outcomes)
        self._pass_on()

    def _take(self) -> list[_Waiting[Item, Result]]:
        group: list[_Waiting[Item, Result]] = []
        weight = 0
        with self._lock:
            while self._queues:
                peer, queue = next(iter(self._queues.items()))
                if group and weight + queue[0].weight > self._max_weight:
                    break
                weight += queue[0].weight
                group.append(queue.popleft())
                self._queues.move_to_end(peer)
                if not queue:
                    del self._queues[peer]
        return group

    def _hand_out(
        self, group: Sequence[_Waiting[Item, Result]], outcomes: Sequence[Result | Exception]
    ) -> None:
        for waiting, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception):
                waiting.error = outcome
            else:
                waiting.result = outcome
            waiting.done = True
            waiting.woken.set()

    def _pass_on(self) -> None:
        """Let the next that waits lead, or nobody."""
        with self._lock:
            if self._queues:
                next(iter(self._queues.values()))[0].woken.set()
            else:
                self._led = False
