"""A recipient tries again what passes with time, leaves alone what does not, and loses nothing."""

import time

import pytest

from node.exchange.breaker import BreakerLimits, Breakers
from node.exchange.service import ExchangeService
from node.network.rates import PeerRates
from node.network.server import member_server
from node.network.transport import TransportLimits
from node.storage import consents
from tests.network import MEMBERS, open_network, person


@pytest.fixture
def two(tmp_path):
    with open_network(tmp_path, [MEMBERS[0], MEMBERS[2]]) as network:
        yield network


def fetch(network, made, deadline_s=20.0):
    (holder,) = (
        network.node("bank-a").fetcher.fetch(made, purpose="score", deadline_s=deadline_s).holders
    )
    return holder


def uses(network, made):
    with network.node("payments").database.read() as connection:
        found = consents.terms_by_hash(connection, [one.consent_hash for one in made])
    return [one.uses for one in found.values()]


def test_a_holder_that_is_asked_too_fast_is_asked_again_when_it_says(two, monkeypatch):
    limits = TransportLimits(subjects_per_s=150, burst_subjects=257, patience_s=0.05)
    monkeypatch.setattr(two.node("payments").exchange, "_rates", PeerRates(limits))
    made = two.consent("bank-a", [person(n) for n in range(520)], holders=["payments"])
    seen = []
    answer = ExchangeService.answer_soon

    async def counted(self, message, *arguments, **more):
        seen.append(message.body)
        return await answer(self, message, *arguments, **more)

    monkeypatch.setattr(ExchangeService, "answer_soon", counted)
    holder = fetch(two, made)
    assert (holder.answered, holder.error, holder.complete) == (520, "", True)
    assert uses(two, made) == [1] * 520
    assert len(seen) > len(set(seen)) == 3  # what came again were the same bytes


def test_it_is_not_tried_beyond_the_deadline(two, monkeypatch):
    limits = TransportLimits(subjects_per_s=1, burst_subjects=10, patience_s=0.05)
    monkeypatch.setattr(two.node("payments").exchange, "_rates", PeerRates(limits))
    made = two.consent("bank-a", [person(n) for n in range(20)], holders=["payments"])
    began = time.monotonic()
    holder = fetch(two, made, deadline_s=2.0)
    assert time.monotonic() - began < 3
    assert (holder.error, holder.unanswered) == ("peer_over_rate", 20)


def test_what_will_not_pass_is_not_tried_again(two, monkeypatch):
    made = two.consent("bank-a", [person(1)], holders=["payments"])
    calls = []
    answer = ExchangeService.answer_soon

    async def late(self, message, peer, now_ms, **more):
        calls.append(1)
        return await answer(self, message, peer, now_ms + 200_000, **more)

    monkeypatch.setattr(ExchangeService, "answer_soon", late)
    assert fetch(two, made).error == "request_expired"
    assert len(calls) == 1


def test_a_holder_that_keeps_failing_is_left_alone_and_asked_again_when_it_is_back(two):
    bank, payments = two.node("bank-a"), two.node("payments")
    limits = BreakerLimits(failures=3, first_s=0.5, longest_s=0.5)
    bank.fetcher._breakers = Breakers(limits, time.monotonic)
    made = two.consent("bank-a", [person(1)], holders=["payments"])
    port = two.entries["payments"].endpoint.rpartition(":")[2]
    two.servers["payments"].stop(grace_s=0)
    codes = [fetch(two, made, deadline_s=3.0).error for _ in range(3)]
    assert codes[-1] == "circuit_open"
    began = time.monotonic()
    fetch(two, made)
    assert time.monotonic() - began < 0.5  # nobody waits for it
    two.servers["payments"] = member_server(payments)
    two.servers["payments"].bind(f"127.0.0.1:{port}")
    two.servers["payments"].start()
    deadline = time.monotonic() + 30
    while not (holder := fetch(two, made)).complete:
        assert time.monotonic() < deadline, holder
        time.sleep(0.1)
    assert holder.answered == 1


def test_an_answer_tells_how_many_signals_came_in_which_state(two):
    two.enrol("payments", person(1), {"statement_balance": (1, 5.0), "paid_ratio_1m": (2, 0.0)})
    holder = fetch(two, two.consent("bank-a", [person(1)], holders=["payments"]))
    assert holder.signals["present"] == holder.signals["none_on_record"] == 1
    asked = two.node("payments").documents.catalogue().held_by("payment")
    assert sum(holder.signals.values()) == len(asked)
