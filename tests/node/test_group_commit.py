"""Group commit: nothing is lost, doubled or mixed up, whoever leads."""

import asyncio
import threading
import time

import pytest

from node.group_commit import CROWD, GATHER_S, GroupCommit
from protocols.errors import StateConflict
from tests.support.loops import run


def call_all(commit, items, max_weight=8):
    group = GroupCommit(commit, max_weight)
    results, lock = {}, threading.Lock()

    def call(item):
        try:
            result = group.submit(item)
        except StateConflict as error:
            result = error
        with lock:
            results[item] = result

    threads = [threading.Thread(target=call, args=[item]) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_each_caller_gets_its_own_result():
    groups = []

    def commit(items):
        groups.append(list(items))
        time.sleep(0.002)
        return [item * 10 for item in items]

    results = call_all(commit, range(100))
    assert results == {item: item * 10 for item in range(100)}
    assert sorted(item for group in groups for item in group) == list(range(100))
    assert 13 <= len(groups) < 100
    assert max(map(len, groups)) <= 8


def test_an_error_of_one_item_concerns_it_alone():
    def commit(items):
        return [StateConflict("no") if item == 3 else item for item in items]

    results = call_all(commit, range(6))
    assert isinstance(results.pop(3), StateConflict)
    assert results == {item: item for item in (0, 1, 2, 4, 5)}


def test_what_the_commit_raises_concerns_the_whole_group_and_not_the_next():
    calls = []

    def commit(items):
        calls.append(len(items))
        if len(calls) == 1:
            raise StateConflict("the disk is full")
        return list(items)

    group = GroupCommit(commit, 8)
    with pytest.raises(StateConflict):
        group.submit(1)
    assert group.submit(2) == 2


def test_a_heavy_item_goes_alone():
    groups = []

    def commit(items):
        groups.append(list(items))
        return list(items)

    group = GroupCommit(commit, 8)
    assert group.submit("heavy", 100) == "heavy"
    assert groups == [["heavy"]]


def test_event_loops_and_threads_share_groups_and_each_gets_its_own_result():
    def commit(items):
        time.sleep(0.001)
        return [StateConflict("no") if item == 7 else item * 10 for item in items]

    group, found = GroupCommit(commit, 64), {}

    def threads():
        for item in range(100, 130):
            found[item] = group.submit(item)

    async def loop():
        async def one(item):
            try:
                found[item] = await group.submit_soon(item)
            except StateConflict as error:
                found[item] = error

        await asyncio.gather(*map(one, range(60)))

    thread = threading.Thread(target=threads)
    thread.start()
    run(loop())
    thread.join()
    assert isinstance(found.pop(7), StateConflict)
    assert found == {item: item * 10 for item in (*range(60), *range(100, 130)) if item != 7}


def test_a_call_that_is_given_up_costs_the_others_nothing():
    entered, go_on = threading.Event(), threading.Event()

    def commit(items):
        entered.set()
        go_on.wait(5)
        return list(items)

    group = GroupCommit(commit, 1)

    async def loop():
        given_up = asyncio.create_task(group.submit_soon("given up"))
        others = [asyncio.create_task(group.submit_soon(number)) for number in range(3)]
        await asyncio.to_thread(entered.wait, 5)
        given_up.cancel()
        go_on.set()
        return await asyncio.gather(*others)

    assert run(loop()) == [0, 1, 2]


def test_a_crowd_is_gathered_and_one_alone_does_not_wait():
    sizes = []

    def commit(items):
        sizes.append(len(items))
        return list(items)

    group = GroupCommit(commit, 1000)

    async def calls(tasks, each):
        async def one():
            for number in range(each):
                await group.submit_soon(number)

        await asyncio.gather(*(one() for _ in range(tasks)))

    run(calls(24, 50))
    assert sum(sizes) == 24 * 50
    assert len(sizes) < 24 * 50 / 4
    began = time.monotonic()
    run(calls(1, CROWD))  # the crowd is forgotten
    sizes.clear()
    began = time.monotonic()
    run(calls(1, 100))
    assert sizes == [1] * 100
    assert (time.monotonic() - began) / 100 < GATHER_S


def test_futures_are_given_their_own_results_and_errors():
    def commit(items):
        return [StateConflict("no") if item == 3 else item * 10 for item in items]

    group = GroupCommit(commit, 4)
    given = [group.submit_later(item) for item in range(20)]
    errors = [item for item, one in enumerate(given) if one.exception(10) is not None]
    assert errors == [3]
    assert [one.result() for item, one in enumerate(given) if item != 3] == [
        item * 10 for item in range(20) if item != 3
    ]


def test_closing_commits_what_waits():
    entered, go = threading.Event(), threading.Event()

    def commit(items):
        entered.set()
        go.wait(5)
        return list(items)

    group = GroupCommit(commit, 4)
    first = group.submit_later(0)
    assert entered.wait(5)
    given = [first, *(group.submit_later(item) for item in range(1, 6))]
    assert group.waiting == 5
    go.set()
    group.close()
    assert [one.result(0) for one in given] == [0, 1, 2, 3, 4, 5]


def test_a_commit_that_forgets_an_item_fails_its_group_and_not_the_next():
    group = GroupCommit(lambda items: [] if 1 in items else list(items), 8)
    with pytest.raises(RuntimeError):
        group.submit_later(1).result(10)
    assert group.submit_later(2).result(10) == 2
