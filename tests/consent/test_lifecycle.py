"""The lifecycle is a table: what is not in it is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.lifecycle import ENDED, TRANSITIONS, Event, State, TransitionInvalid, advance

ALL = [(state, event) for state in State for event in Event]


@pytest.mark.parametrize(("state", "event"), ALL, ids=lambda one: one.value)
def test_the_table_says_all_that_can_happen(state, event):
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(TransitionInvalid, match=f"{state} cannot {event}"):
            advance(state, event)


def test_every_state_but_the_first_can_be_reached():
    reached = {State.REQUESTED}
    while True:
        more = {after for (before, _), after in TRANSITIONS.items() if before in reached}
        if more <= reached:
            break
        reached |= more
    assert reached == set(State)


@given(st.lists(st.sampled_from(Event), max_size=12))
def test_once_ended_always_ended_and_asking_twice_changes_nothing(events):
    state = State.REQUESTED
    for event in events:
        before = state
        try:
            state = advance(state, event)
        except TransitionInvalid:
            continue
        if before in ENDED:
            assert state is before
            assert (state, event) in {
                (State.WITHDRAWN, Event.WITHDRAW),
                (State.REFUSED, Event.REFUSE),
                (State.INVALIDATED, Event.INVALIDATE),
            }


@given(st.lists(st.sampled_from(Event), max_size=12))
def test_only_a_grant_or_a_resumption_makes_a_consent_active(events):
    state = State.REQUESTED
    for event in events:
        try:
            after = advance(state, event)
        except TransitionInvalid:
            continue
        if after is State.ACTIVE:
            assert event in {Event.GRANT, Event.RESUME}
        state = after
