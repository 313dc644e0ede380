"""Group commit: nothing is lost, doubled or mixed up, whoever leads."""

import threading
import time

import pytest

from node.exchange.group import GroupCommit
from protocols.errors import StateConflict


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
