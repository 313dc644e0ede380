"""A holder that keeps failing is left alone, tried by one call, and asked again when it answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.exchange.breaker import TABLE, Breaker, BreakerLimits, CircuitOpen, Event, State
from node.exchange.service import NonceReused
from node.network.rpc_errors import PeerUnreachable, TooManyRequests

LIMITS = BreakerLimits(failures=3, first_s=1.0, longest_s=4.0)
DOWN = PeerUnreachable("down")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(LIMITS, clock)


def fail(breaker, times=1, error=DOWN):
    for _ in range(times):
        breaker.admit()
        breaker.note(error)


def test_it_takes_several_failures_in_a_row(breaker):
    fail(breaker, 2)
    breaker.admit()
    breaker.note(None)
    fail(breaker, 2)
    assert breaker.state is State.CLOSED
    fail(breaker)
    assert breaker.state is State.OPEN
    with pytest.raises(CircuitOpen):
        breaker.admit()


def test_one_call_tries_a_holder_whose_time_is_over(breaker, clock):
    fail(breaker, 3)
    clock.now = LIMITS.first_s
    breaker.admit()
    assert breaker.state is State.HALF_OPEN
    with pytest.raises(CircuitOpen):
        breaker.admit()
    breaker.note(None)
    assert breaker.state is State.CLOSED
    breaker.admit()


def test_a_try_that_fails_leaves_it_alone_for_longer_up_to_a_bound(breaker, clock):
    fail(breaker, 3)
    waited = []
    for _ in range(6):
        start = clock.now
        while True:
            clock.now += 0.01
            try:
                breaker.admit()
            except CircuitOpen:
                continue
            break
        waited.append(clock.now - start)
        breaker.note(DOWN)
    assert waited[0] <= LIMITS.first_s + 0.02
    assert waited[1] > LIMITS.first_s - 0.02
    assert max(waited) <= LIMITS.longest_s + 0.02


@pytest.mark.parametrize("error", [TooManyRequests("busy"), NonceReused("no")])
def test_a_holder_that_answers_with_a_refusal_is_not_down(breaker, error):
    fail(breaker, 10, error)
    assert breaker.state is State.CLOSED


def test_the_table_names_every_state_and_event_that_can_meet():
    missing = {(state, event) for state in State for event in Event} - TABLE.keys()
    assert missing == {(State.CLOSED, Event.COOLED), (State.HALF_OPEN, Event.COOLED)}


@given(st.lists(st.tuples(st.sampled_from(["ask", "answer", "fail", "refuse"]), st.floats(0, 3))))
def test_whatever_happens_an_answer_closes_it_and_it_is_never_stuck(steps):
    clock = Clock()
    breaker = Breaker(LIMITS, clock)
    for step, seconds in steps:
        clock.now += seconds
        try:
            breaker.admit()
        except CircuitOpen:
            continue
        outcome = {"fail": DOWN, "refuse": NonceReused("no")}.get(step)
        breaker.note(outcome)
        if outcome is not DOWN:
            assert breaker.state is State.CLOSED
    clock.now += LIMITS.longest_s
    breaker.admit()
