"""The life of a job, as a table; what is not in it is an error.

A job is a score request (one subject) or a batch (many). `receiving`: its lines are still coming.
`open`: its lines are being scored. The others are ends.
"""

from enum import StrEnum

from protocols.errors import StateConflict


class JobState(StrEnum):
    """Where a job stands."""

    RECEIVING = "receiving"
    OPEN = "open"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class JobEvent(StrEnum):
    """What happens to a job."""

    RECEIVED = "received"  # all its lines are here
    DONE = "done"  # no line is left
    CANCEL = "cancel"  # its client wants no more of it
    DEADLINE = "deadline"  # its time is over


TRANSITIONS: dict[tuple[JobState, JobEvent], JobState] = {
    (JobState.RECEIVING, JobEvent.RECEIVED): JobState.OPEN,
    (JobState.OPEN, JobEvent.DONE): JobState.COMPLETED,
    (JobState.OPEN, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.OPEN, JobEvent.DEADLINE): JobState.EXPIRED,
    (JobState.CANCELLED, JobEvent.CANCEL): JobState.CANCELLED,
}


class JobEnded(StateConflict):
    """The job is not in a state in which this can be done."""

    code = "job_ended"
    next_step = "See its state; ask for a new one."


def after(state: JobState, event: JobEvent) -> JobState:
    """The state after an event.

    Raises:
        JobEnded: the table knows no such step.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise JobEnded(f"a job that is {state} cannot take `{event}`") from None
