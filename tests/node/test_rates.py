"""A peer asks no faster than a member may, and takes nothing from another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.network.rates import PeerOverRate, PeerRates
from node.network.transport import TransportLimits

LIMITS = TransportLimits(subjects_per_s=100, burst_subjects=200, patience_s=1.0)


class Time:
    """A clock that sleeping moves."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds

    def rates(self, limits=LIMITS):
        return PeerRates(limits, lambda: self.now, self.sleep)


def test_a_burst_is_allowed_and_no_more():
    rates = Time().rates()
    rates.pace("bank-a", 200, held_back=False)
    with pytest.raises(PeerOverRate) as caught:
        rates.pace("bank-a", 50, held_back=False)
    assert caught.value.code == "peer_over_rate"
    assert caught.value.retryable
    assert caught.value.retry_after_ms == 501


def test_after_the_time_that_was_named_it_may_ask():
    time = Time()
    rates = time.rates()
    rates.pace("bank-a", 200, held_back=False)
    with pytest.raises(PeerOverRate) as caught:
        rates.pace("bank-a", 50, held_back=False)
    time.now += caught.value.retry_after_ms / 1000
    rates.pace("bank-a", 50, held_back=False)


def test_a_stream_is_held_back_to_the_rate():
    time = Time()
    rates = time.rates()
    for _ in range(20):
        rates.pace("bank-a", 50, held_back=True)
    assert time.now == pytest.approx((20 * 50 - 200) / 100)


def test_what_cannot_be_had_within_the_patience_is_refused_and_costs_nothing():
    time = Time()
    rates = time.rates()
    rates.pace("bank-a", 200, held_back=False)
    with pytest.raises(PeerOverRate):
        rates.pace("bank-a", 101, held_back=True)
    rates.pace("bank-a", 100, held_back=True)
    assert time.now == pytest.approx(1.0)


def test_one_peer_takes_nothing_from_another():
    rates = Time().rates()
    with pytest.raises(PeerOverRate):
        rates.pace("bank-a", 201, held_back=False)
    rates.pace("bank-a", 200, held_back=False)
    rates.pace("bank-b", 200, held_back=False)


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 60)), max_size=60))
def test_no_pattern_of_calls_beats_the_rate(calls):
    time = Time()
    rates = time.rates()
    had = 0
    for pause, subjects in calls:
        time.now += pause
        try:
            rates.pace("bank-a", subjects, held_back=False)
        except PeerOverRate:
            continue
        had += subjects
        assert had <= LIMITS.burst_subjects + LIMITS.subjects_per_s * time.now + 1e-6
