"""The exchange in a process of its own: the same answers, and nothing lost when it dies."""

import os
import signal
import threading

import pytest

from node.exchange import engine as engine_module
from node.exchange.engine import Engine, stamp
from node.exchange.service import Asked
from node.storage import consents
from protocols.v1.exchange_pb2 import SealedAnswer
from tests.exchange.conftest import PEOPLE
from tests.network import now_ms


@pytest.fixture
def here():
    """Groups that were answered in this process."""
    return []


@pytest.fixture
def engine(network, here, monkeypatch):
    monkeypatch.setattr(engine_module, "PAUSE_S", 0.0)
    node = network.node("payments")

    def answered_here(group):
        here.append(len(group))
        return node.exchange.answer_group(group)

    made = Engine(node.home, lambda: stamp(node), answered_here)
    made.start(wait_s=60)
    assert made.pid is not None
    yield made
    made.stop()


def asked(request):
    return Asked(request.message.body, request.message.signature, "bank-a", now_ms())


def uses(network, terms):
    with network.node("payments").database.read() as connection:
        return consents.terms_by_hash(connection, [terms.consent_hash])[terms.consent_hash].uses


def test_a_group_is_answered_each_request_for_itself(network, engine, here, ask, opened):
    made = network.consent("bank-a", PEOPLE[:3], holders=["payments"])
    requests = [ask([one]) for one in made]
    stale = ask([made[0]], now_ms=now_ms() - 200_000)
    before = network.node("payments").audit.head().size
    *good, bad = engine([asked(one) for one in [*requests, stale]])
    assert bad.code == "request_expired"
    for request, answer in zip(requests, good, strict=True):
        assert opened(request, SealedAnswer.FromString(answer)).answers[0].refusal == ""
    assert network.node("payments").audit.head().size == before + 3
    assert here == []


def test_a_killed_engine_is_made_good_here_and_counts_once(network, engine, here, ask):
    (made,) = network.consent("bank-a", PEOPLE[:1], holders=["payments"])
    group = [asked(ask([made]))]
    first = engine(group)
    head = network.node("payments").audit.head()
    os.kill(engine.pid, signal.SIGKILL)
    assert engine(group) == first
    assert here == [1]
    assert network.node("payments").audit.head() == head
    assert uses(network, made) == 1


def test_a_crowd_starts_it_again(engine, here, ask, consent):
    os.kill(engine.pid, signal.SIGKILL)
    engine([asked(ask([consent]))])
    assert engine.pid is None
    engine([asked(ask([consent])) for _ in range(engine_module.CROWD)])
    engine.start(wait_s=60)
    assert engine.pid is not None
    engine([asked(ask([consent]))])
    assert here == [1, engine_module.CROWD]


def test_it_follows_the_directory(network, engine, here, ask, consent):
    network.change("bank-a", status="suspended")
    try:
        (refused,) = engine([asked(ask([consent]))])
        assert refused.code == "member_not_active"
    finally:
        network.change("bank-a", status="active")
    (answered,) = engine([asked(ask([consent]))])
    assert isinstance(answered, bytes)
    assert here == []


def test_it_ends_with_its_node(engine):
    child = engine._child
    engine._pipe.close()
    assert child.wait(20) == 0


def test_a_stopped_engine_leaves_groups_to_the_node(engine, here, ask, consent):
    engine.stop()
    (answered,) = engine([asked(ask([consent]))])
    assert isinstance(answered, bytes)
    assert (here, engine.pid) == ([1], None)


def test_duplicates_at_one_moment_have_one_effect_through_it_too(
    network, engine, ask, stub, monkeypatch
):
    service = network.node("payments").exchange
    monkeypatch.setattr(service, "_groups", service._groups)
    service.hand_over(engine)
    (made,) = network.consent("bank-a", PEOPLE[:1], holders=["payments"])
    request, found, start = ask([made]), [], threading.Barrier(12)

    def call():
        start.wait()
        found.append(stub.Fetch(request.message, timeout=20).SerializeToString())

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert len(set(found)) == 1
    assert uses(network, made) == 1
