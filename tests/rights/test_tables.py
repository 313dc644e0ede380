"""The tables of rights: states, deadlines, the calendar year, texts."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from consent.rights import (
    COMPLAINT,
    DAY_MS,
    DEADLINES,
    FLAGGED,
    FREEZE_TRANSITIONS,
    MAX_STATEMENT,
    TRANSITIONS,
    Event,
    Freeze,
    FreezeEvent,
    Kind,
    RightsConflict,
    SetBy,
    State,
    TextRefused,
    advance,
    clean_text,
    has_ended,
    is_four_eyes,
    is_free,
    report_year,
    retention,
)

CHINA = timezone(timedelta(hours=8))


@given(st.sampled_from(Kind), st.sampled_from(State), st.sampled_from(Event))
def test_what_is_not_in_the_table_is_an_error(kind: Kind, state: State, event: Event) -> None:
    """A step either leads where the table says or is refused; nothing leads out of an end."""
    after = TRANSITIONS[kind].get((state, event))
    if after is None:
        with pytest.raises(RightsConflict):
            advance(kind, state, event)
    else:
        assert advance(kind, state, event) is after
        assert not has_ended(kind, state)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_state_is_reached_and_every_request_can_end(kind: Kind) -> None:
    """From `opened` all states of a kind are reached, and from each of them an end is."""
    table = TRANSITIONS[kind]
    named = {State.OPENED} | {state for state, _ in table} | set(table.values())

    def reached(start: State) -> set[State]:
        seen, waiting = {start}, [start]
        while waiting:
            here = waiting.pop()
            for (state, _), after in table.items():
                if state is here and after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return seen

    assert reached(State.OPENED) == named
    assert all(any(has_ended(kind, end) for end in reached(state)) for state in named)


@pytest.mark.parametrize("kind", [Kind.CORRECTION, Kind.DELETION])
def test_data_is_changed_by_two_people_only(kind: Kind) -> None:
    """Every way to a correction or deletion leads through a proposal and a second agreement."""
    for (state, event), after in TRANSITIONS[kind].items():
        if after in {State.CORRECTED, State.ERASED, State.RESTRICTED}:
            assert state is State.PROPOSED
            assert is_four_eyes(kind, event)


class Dispute(RuleBasedStateMachine):
    """Any order of steps: the flag is there from the beginning to the end and never after."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.OPENED
        self.over = False

    @rule(event=st.sampled_from(Event))
    def step(self, event: Event) -> None:
        try:
            self.state = advance(Kind.DISPUTE, self.state, event)
        except RightsConflict:
            return
        assert not self.over
        self.over = has_ended(Kind.DISPUTE, self.state)

    @invariant()
    def flagged_until_the_end(self) -> None:
        assert (self.state in FLAGGED) != self.over


TestDispute = Dispute.TestCase


@given(st.lists(st.sampled_from(FreezeEvent)))
def test_a_freeze_is_what_was_said_last(said: list[FreezeEvent]) -> None:
    """One step freezes and one lifts, from wherever; saying it twice is no error."""
    state = Freeze.OPEN
    for event in said:
        state = FREEZE_TRANSITIONS[state, event]
    frozen = bool(said) and said[-1] is FreezeEvent.FREEZE
    assert (state is Freeze.FROZEN) == frozen


def test_deadlines_are_the_laws() -> None:
    """20 days for a dispute, 30 for a complaint, two free reports, five years for adverse data."""
    assert DEADLINES[Kind.DISPUTE].due_at_ms(1_000) == 1_000 + 20 * DAY_MS
    assert DEADLINES[Kind.DISPUTE].set_by is SetBy.LAW
    assert DEADLINES[Kind.DISPUTE].articles == ("CRIR 25",)
    assert (COMPLAINT.days, COMPLAINT.articles) == (30, ("CRIR 26",))
    assert [is_free(number) for number in (1, 2, 3)] == [True, True, False]
    assert (retention("credit_account").years, retention("payment").years) == (5, None)
    assert all(DEADLINES[kind].days <= 30 for kind in Kind)


@given(st.integers(0, 7_000_000_000))
def test_a_report_counts_in_the_year_where_the_person_lives(second: int) -> None:
    """The calendar year turns at midnight in China, for any moment."""
    assert report_year(second * 1000) == datetime.fromtimestamp(second, CHINA).year


@given(st.text(max_size=300))
def test_a_text_is_kept_as_it_reads_or_refused(text: str) -> None:
    """Clean text is a fixed point, within its length, without controls or marks that turn it."""
    try:
        clean = clean_text(text, MAX_STATEMENT)
    except TextRefused:
        return
    assert clean_text(clean, MAX_STATEMENT) == clean
    assert 1 <= len(clean) <= MAX_STATEMENT
    assert "\r" not in clean
    assert "\u202e" not in clean
    assert all(one in "\n\u200c\u200d" or one.isprintable() or one.isspace() for one in clean)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "a\x00b",
        "a\u202eb",
        "\ud800",
        "x" * 201,
        "a\tb",
        "\n" * 5,
        "a\ufeffb",
        "a\u2028b",
    ],
)
def test_a_text_that_is_none_is_refused(text: str) -> None:
    """Empty, too long, controls, half characters, and what turns the reading order."""
    with pytest.raises(TextRefused):
        clean_text(text, MAX_STATEMENT)


def test_a_statement_of_exactly_200_characters_is_taken() -> None:
    """200 Chinese characters are 200 characters."""
    assert clean_text("异" * 200, MAX_STATEMENT) == "异" * 200
