"""Calls answered in groups."""

import threading
from collections.abc import Iterator

import pytest

from node.scoring.turns import Turns


class Group:
    """Doubles numbers; holds the first group until it is let go, and notes every group."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.go = threading.Event()

    def answer(self, calls: list[int]) -> list[int]:
        self.seen.append(list(calls))
        assert self.go.wait(10)
        if -1 in calls:
            raise ValueError("minus one")
        return [2 * call for call in calls]


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def turns(group: Group) -> Iterator[Turns[int, int]]:
    made = Turns[int, int](group.answer, most=4)
    yield made
    group.go.set()
    made.close()


def test_the_first_goes_alone_and_who_comes_meanwhile_goes_together(turns, group) -> None:
    first = turns.submit(1)
    while not group.seen:
        pass
    others = [turns.submit(number) for number in range(2, 8)]
    group.go.set()
    assert [one.result(10) for one in (first, *others)] == [2, 4, 6, 8, 10, 12, 14]
    assert group.seen == [[1], [2, 3, 4, 5], [6, 7]]


def test_one_call_cannot_fail_another(turns, group) -> None:
    first = turns.submit(1)
    while not group.seen:
        pass
    second, bad, third = (turns.submit(number) for number in (2, -1, 3))
    group.go.set()
    assert [one.result(10) for one in (first, second, third)] == [2, 4, 6]
    with pytest.raises(ValueError, match="minus one"):
        bad.result(10)


def test_closing_answers_who_waits(turns, group) -> None:
    waiting = [turns.submit(number) for number in range(6)]
    group.go.set()
    turns.close()
    assert [one.result(0) for one in waiting] == [0, 2, 4, 6, 8, 10]
