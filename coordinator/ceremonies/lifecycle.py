"""The life of a key ceremony, as a table.

    announced     an operator wants it; the running coordinator opens the first round
    commitment, deal, verdict, answer, confirmation     that round is open for entries
    completed     every qualified trustee confirmed one key; the signed result is published
    failed        too few honest trustees, or trustees that saw different boards; there is no key

A round is closed when everybody it waits for has posted, or at its deadline. What is not in the
table is an error.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, cast

from protocols.dkg_entries import ROUNDS, Round
from protocols.errors import StateConflict

State = Literal["announced", "commitment", "deal", "verdict", "answer", "confirmation",
                "completed", "failed"]  # fmt: skip
Event = Literal["close", "complete", "fail"]

TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        ("announced", "close"): "commitment",
        ("announced", "fail"): "failed",
        ("commitment", "close"): "deal",
        ("commitment", "fail"): "failed",
        ("deal", "close"): "verdict",
        ("deal", "fail"): "failed",
        ("verdict", "close"): "answer",
        ("verdict", "fail"): "failed",
        ("answer", "close"): "confirmation",
        ("answer", "fail"): "failed",
        ("confirmation", "complete"): "completed",
        ("confirmation", "fail"): "failed",
    }
)
FINAL: frozenset[State] = frozenset({"completed", "failed"})
STATES: tuple[State, ...] = ("announced", *ROUNDS, "completed", "failed")


class CeremonyTransitionInvalid(StateConflict):
    """A ceremony is not in a state that allows this."""

    code = "ceremony_transition_invalid"
    next_step = "Look at it with `credence ceremony status HOME`."


def advance(state: str, event: Event) -> State:
    """The state that follows.

    Raises:
        CeremonyTransitionInvalid: the table has no such row.
    """
    try:
        return TRANSITIONS[cast("State", state), event]
    except KeyError:
        raise CeremonyTransitionInvalid(f"a ceremony that is {state} cannot {event}") from None


def is_closed(state: str, round_: Round) -> bool:
    """Whether `round_` takes no more entries in `state`; a failed ceremony's rounds are closed."""
    return state in FINAL or STATES.index(cast("State", state)) > STATES.index(round_)
