"""The life of a consent, as a table: what is not in the table is an error.

`requested` becomes `active`, `refused` or `lapsed`; `active` and `paused` change into one another;
both end as `withdrawn`, `expired`, `superseded` or `invalidated`. An ended consent stays ended: to
share again a person grants a new one. Asking twice is no error where the second call asks for what
is already so.
"""

from enum import StrEnum

from protocols.errors import StateConflict


class State(StrEnum):
    """Where a consent stands; the values are stored and shown."""

    REQUESTED = "requested"
    ACTIVE = "active"
    PAUSED = "paused"
    REFUSED = "refused"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    INVALIDATED = "invalidated"


class Event(StrEnum):
    """What can happen to a consent; the values travel and are stored."""

    REQUEST = "request"
    GRANT = "grant"
    REFUSE = "refuse"
    LAPSE = "lapse"
    PAUSE = "pause"
    RESUME = "resume"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"
    INVALIDATE = "invalidate"


class TransitionInvalid(StateConflict):
    """A consent in this state does not know this event."""

    code = "consent_state_conflict"
    next_step = "Look at the consent's state; an ended consent is replaced by granting a new one."


# How the life of a consent begins.
BEGINNINGS: dict[Event, State] = {
    Event.REQUEST: State.REQUESTED,
    Event.GRANT: State.ACTIVE,
}

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.REQUESTED, Event.GRANT): State.ACTIVE,
    (State.REQUESTED, Event.REFUSE): State.REFUSED,
    (State.REQUESTED, Event.LAPSE): State.LAPSED,
    (State.REFUSED, Event.REFUSE): State.REFUSED,
    (State.ACTIVE, Event.PAUSE): State.PAUSED,
    (State.PAUSED, Event.PAUSE): State.PAUSED,
    (State.PAUSED, Event.RESUME): State.ACTIVE,
    (State.ACTIVE, Event.RESUME): State.ACTIVE,
    (State.ACTIVE, Event.WITHDRAW): State.WITHDRAWN,
    (State.PAUSED, Event.WITHDRAW): State.WITHDRAWN,
    (State.WITHDRAWN, Event.WITHDRAW): State.WITHDRAWN,
    (State.ACTIVE, Event.EXPIRE): State.EXPIRED,
    (State.PAUSED, Event.EXPIRE): State.EXPIRED,
    (State.ACTIVE, Event.SUPERSEDE): State.SUPERSEDED,
    (State.PAUSED, Event.SUPERSEDE): State.SUPERSEDED,
    (State.ACTIVE, Event.INVALIDATE): State.INVALIDATED,
    (State.PAUSED, Event.INVALIDATE): State.INVALIDATED,
    (State.INVALIDATED, Event.INVALIDATE): State.INVALIDATED,
}

ENDED = frozenset(
    {
        State.REFUSED,
        State.LAPSED,
        State.WITHDRAWN,
        State.EXPIRED,
        State.SUPERSEDED,
        State.INVALIDATED,
    }
)


def advance(state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        TransitionInvalid: the table has no such entry.
    """
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise TransitionInvalid(f"a consent that is {state} cannot {event}")
    return after
