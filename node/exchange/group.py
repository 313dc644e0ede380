"""Group commit: what several threads want written goes into one transaction.

Whoever comes first leads: it takes all that waits, writes it at once and hands out the outcomes.
Meanwhile others queue up for the next group. One caller alone pays nothing for it; many share the
transaction's cost, above all the wait for the disk.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Waiting(Generic[Item, Result]):
    item: Item
    weight: int
    done: bool = False
    result: Result | None = None
    error: Exception | None = None


class GroupCommit(Generic[Item, Result]):
    """Runs `commit` for groups of items, one group at a time."""

    def __init__(
        self, commit: Callable[[Sequence[Item]], Sequence[Result | Exception]], max_weight: int
    ) -> None:
        """Group items for `commit`.

        Args:
            commit: given items in the order they came; gives for each its result, or the error
                that concerns it alone. What it raises concerns all of them.
            max_weight: a group's weights sum to at most this, unless it is one item.
        """
        self._commit = commit
        self._max_weight = max_weight
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._queued = threading.Lock()
        self._leading = threading.Lock()

    def submit(self, item: Item, weight: int = 1) -> Result:
        """Have `item` committed, and return its result.

        Raises:
            Exception: what `commit` gave for this item or raised for its group.
        """
        mine: _Waiting[Item, Result] = _Waiting(item, weight)
        with self._queued:
            self._queue.append(mine)
        while not mine.done:
            with self._leading:
                if not mine.done:
                    self._lead()
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]  # set with `done`

    def _lead(self) -> None:
        group = self._take()
        try:
            outcomes = self._commit([waiting.item for waiting in group])
        except Exception as error:  # noqa: BLE001 - each caller gets it
            for waiting in group:
                waiting.error, waiting.done = error, True
            return
        for waiting, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception):
                waiting.error = outcome
            else:
                waiting.result = outcome
            waiting.done = True

    def _take(self) -> list[_Waiting[Item, Result]]:
        with self._queued:
            group = [self._queue.popleft()]
            weight = group[0].weight
            while self._queue and weight + self._queue[0].weight <= self._max_weight:
                group.append(self._queue.popleft())
                weight += group[-1].weight
        return group
