"""A circuit breaker for each holder: one that keeps failing is left alone for a while.

    closed     it is asked; several failures in a row open the circuit
    open       it is not asked, until its time is over
    half_open  one call tries it; the others wait for what comes of it

The transitions are `TABLE`; what is not in it is an error. The time grows with every opening and
is blurred, so that many recipients do not come back at one moment.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from node.network.rpc_errors import Overloaded
from protocols.errors import CredenceError, Unavailable


class State(Enum):
    """Of one holder's circuit."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(Enum):
    """What may happen to a circuit."""

    ANSWERED = "answered"
    FAILED = "failed"  # fewer times in a row than it takes
    TRIPPED = "tripped"  # so many times in a row
    COOLED = "cooled"  # the time is over


TABLE: dict[tuple[State, Event], State] = {
    (State.CLOSED, Event.ANSWERED): State.CLOSED,
    (State.CLOSED, Event.FAILED): State.CLOSED,
    (State.CLOSED, Event.TRIPPED): State.OPEN,
    (State.OPEN, Event.COOLED): State.HALF_OPEN,
    (State.OPEN, Event.ANSWERED): State.CLOSED,  # a call that began before
    (State.OPEN, Event.FAILED): State.OPEN,
    (State.OPEN, Event.TRIPPED): State.OPEN,
    (State.HALF_OPEN, Event.ANSWERED): State.CLOSED,
    (State.HALF_OPEN, Event.FAILED): State.OPEN,
    (State.HALF_OPEN, Event.TRIPPED): State.OPEN,
}


class CircuitOpen(Unavailable):
    """A holder failed several times in a row and is not asked for a while."""

    code = "circuit_open"
    next_step = "Wait; the holder is tried again by itself. Check that it runs."


@dataclass(frozen=True)
class BreakerLimits:
    """When a circuit opens and for how long.

    Attributes:
        failures: in a row that open it.
        first_s: how long it is open at first; doubles with every opening in a row.
        longest_s: at most.
    """

    failures: int = 5
    first_s: float = 1.0
    longest_s: float = 30.0


class Breaker:
    """The circuit of one holder; thread-safe."""

    def __init__(self, limits: BreakerLimits, clock: Callable[[], float]) -> None:
        """Begin closed.

        Args:
            limits: see there.
            clock: monotonic seconds.
        """
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._openings = 0
        self._open_until = 0.0
        self._trying = False
        self.state = State.CLOSED

    def admit(self) -> None:
        """Before a call.

        Raises:
            CircuitOpen: the holder is not asked now.
        """
        with self._lock:
            if self.state is State.OPEN and self._clock() >= self._open_until:
                self._advance(Event.COOLED)
                self._trying = False
            if self.state is State.OPEN or (self.state is State.HALF_OPEN and self._trying):
                raise CircuitOpen("the holder failed several times and is left alone for a while")
            self._trying = self.state is State.HALF_OPEN

    def note(self, error: CredenceError | None) -> None:
        """After a call: what it failed with, None when it was answered."""
        with self._lock:
            self._trying = False
            if error is None or not counts(error):
                self._failures = self._openings = 0
                self._advance(Event.ANSWERED)
                return
            self._failures += 1
            tripped = self._failures >= self._limits.failures
            before = self.state
            self._advance(Event.TRIPPED if tripped else Event.FAILED)
            if self.state is State.OPEN and before is not State.OPEN:
                open_s = min(self._limits.longest_s, self._limits.first_s * 2**self._openings)
                self._openings += 1
                self._open_until = self._clock() + open_s * random.uniform(0.5, 1.0)  # noqa: S311

    def _advance(self, event: Event) -> None:
        self.state = TABLE[self.state, event]


def counts(error: CredenceError) -> bool:
    """Whether a failure says that the holder cannot answer, and not only that it will not."""
    return error.category == "unavailable" and not isinstance(error, Overloaded)


class Breakers:
    """A breaker for each holder, made when first asked for; thread-safe."""

    def __init__(self, limits: BreakerLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._of: dict[str, Breaker] = {}

    def of(self, holder: str) -> Breaker:
        """The holder's."""
        with self._lock:
            return self._of.setdefault(holder, Breaker(self._limits, self._clock))
