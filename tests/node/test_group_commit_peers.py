"""A group is filled in turns: a peer with many items waiting delays another's by one group."""

import threading

from node.group_commit import GroupCommit


def test_a_flood_of_one_peer_delays_another_by_one_group():
    entered, go = threading.Semaphore(0), threading.Semaphore(0)
    groups = []

    def commit(items):
        groups.append(list(items))
        entered.release()
        go.acquire()
        return list(items)

    group = GroupCommit(commit, max_weight=4)
    threads = []

    def send(item, peer):
        before = waiting(group)
        thread = threading.Thread(target=group.submit, args=(item, 1, peer))
        thread.start()
        threads.append(thread)
        if len(threads) == 1:
            entered.acquire()  # it leads, alone
        else:
            while waiting(group) == before:
                pass

    for number in range(40):
        send(f"flood-{number}", "bank-a")
    send("single", "bank-b")
    for _ in range(40):
        go.release()
    for thread in threads:
        thread.join(10)
    assert groups[0] == ["flood-0"]
    assert "single" in groups[1]
    assert sorted(item for one in groups for item in one) == sorted(
        ["single", *(f"flood-{number}" for number in range(40))]
    )
    flood = [item for one in groups for item in one if item != "single"]
    assert flood == [f"flood-{number}" for number in range(40)]  # each peer's own in order


def waiting(group):
    with group._lock:
        return sum(map(len, group._queues.values()))
