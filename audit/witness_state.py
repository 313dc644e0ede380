"""What may be done when a log is not witnessed, or was taken back: a table, and the gate.

A log that nobody cosigns can be rewritten unseen. So every class of operation has a time without
witnesses after which it is *degraded* (it works, and says so) and one after which it is *stopped*;
four hours is X-Road's rule for exchange without a timestamp. What protects the person never stops:
a withdrawal is taken whatever the log is worth.

A log whose older state was put back is *quarantined* until an operator confirms how it goes on
(`audit.witness_keeper`): meanwhile, what stops at all is stopped.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from audit import witness_store as store
from audit.database import Connection, Database
from audit.witness_store import Epoch
from protocols.errors import Unavailable

DEGRADED_S: Final = 600
STOPPED_S: Final = 4 * 3600
LOOK_AGAIN_MS: Final = 500


class Operation(StrEnum):
    """A class of operations; a gate stands before each that can stop."""

    SCORE = "score"
    RELEASE = "release"
    TRAINING = "training"
    CONSENT = "consent"  # granted, read, withdrawn
    RIGHTS = "rights"  # what people ask about their data


class Standing(StrEnum):
    """How one class of operations stands."""

    WITNESSED = "witnessed"
    DEGRADED = "degraded"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds without witnesses; None: it never stops."""

    degraded_after_s: int
    stopped_after_s: int | None


def rules(
    degraded_after_s: int = DEGRADED_S, stopped_after_s: int = STOPPED_S
) -> Mapping[Operation, Limits]:
    """The table."""
    stops = Limits(degraded_after_s, stopped_after_s)
    never = Limits(degraded_after_s, None)
    return {
        Operation.SCORE: stops,
        Operation.RELEASE: stops,
        Operation.TRAINING: stops,
        Operation.CONSENT: never,
        Operation.RIGHTS: never,
    }


class LogNotTrusted(Unavailable):
    """The log is not witnessed well enough for this; one class a reason."""

    code = "log_not_trusted"


class LogUnwitnessed(LogNotTrusted):
    """No other organisation has cosigned this log for too long; what could harm has stopped."""

    code = "log_unwitnessed"
    next_step = "Bring the witnesses back in reach; `credence node status` names those missing."


class LogQuarantined(LogNotTrusted):
    """The log is behind or beside what its witnesses hold: an older state was put back."""

    code = "log_quarantined"
    retryable = False
    next_step = "Bring the newest database back; if it is lost, `credence audit continue HOME`."


class LogContinued(LogNotTrusted):
    """The log lost entries for good, and what they counted cannot be known any more."""

    code = "log_continued"
    retryable = False
    next_step = "What the lost entries counted is unknown: this stays stopped for this log."


@dataclass(frozen=True, slots=True)
class Facts:
    """What the standings follow from.

    Attributes:
        epoch: the epoch in force; None: the process has never run.
        witnessed_at_ms: when the log was last witnessed in it, UTC milliseconds; None: never.
        size: how many leaves that was for.
    """

    epoch: Epoch | None
    witnessed_at_ms: int | None
    size: int

    @property
    def quarantined(self) -> bool:
        """Whether an operator has yet to confirm how the log goes on."""
        return self.continued and self.epoch is not None and self.epoch.confirmed_at_ms is None

    @property
    def continued(self) -> bool:
        """Whether the log has lost entries at some time."""
        return self.epoch is not None and self.epoch.epoch > 1

    def silent_s(self, now_ms: int) -> float:
        """Seconds without witnesses; since the epoch began, where there were none in it."""
        since = self.witnessed_at_ms
        if since is None:
            since = self.epoch.opened_at_ms if self.epoch else now_ms
        return max(0.0, (now_ms - since) / 1000)


def standing(facts: Facts, limits: Limits, minimum: int, now_ms: int) -> Standing:
    """How a class of operations stands; `minimum` 0 asks for no witnesses."""
    stops = limits.stopped_after_s is not None
    if facts.quarantined:
        return Standing.STOPPED if stops else Standing.DEGRADED
    silent_s = facts.silent_s(now_ms)
    if minimum == 0 or silent_s <= limits.degraded_after_s:
        return Standing.WITNESSED
    if limits.stopped_after_s is None or silent_s <= limits.stopped_after_s:
        return Standing.DEGRADED
    return Standing.STOPPED


class Gate:
    """Lets operations pass while the log is witnessed well enough; thread-safe.

    What it decides by stands in the database, so that every process of a home decides alike.
    """

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int],
        *,
        minimum: int,
        table: Mapping[Operation, Limits],
        lost_for_good: frozenset[Operation] = frozenset(),
    ) -> None:
        """Decide for the log in `database`.

        Args:
            database: where checkpoints and epochs are.
            now_ms: the clock, UTC milliseconds.
            minimum: organisations that must have cosigned; 0: none.
            table: the limits.
            lost_for_good: what stays stopped after the log lost entries, confirmed or not.
        """
        self._database = database
        self._now_ms = now_ms
        self._minimum = minimum
        self._table = table
        self._lost_for_good = lost_for_good
        self._lock = threading.Lock()
        self._facts: Facts | None = None
        self._read_at_ms = 0

    def require(self, operation: Operation) -> None:
        """Let one operation pass.

        Raises:
            LogQuarantined: an older state of the log was put back, and nobody has confirmed it.
            LogContinued: it was confirmed, but this kind of operation relies on what was lost.
            LogUnwitnessed: there were no witnesses for too long.
        """
        now_ms = self._now_ms()
        facts = self._known(now_ms)
        if self._standing(facts, operation, now_ms) is not Standing.STOPPED:
            return
        if facts.quarantined:
            raise LogQuarantined("the log is behind what its witnesses hold")
        if facts.continued and operation in self._lost_for_good:
            raise LogContinued("the log lost entries that this relies on")
        raise LogUnwitnessed(f"nobody has witnessed the log for {facts.silent_s(now_ms):.0f} s")

    def allows(self, operation: Operation) -> bool:
        """Whether `require` would let an operation pass."""
        now_ms = self._now_ms()
        standing = self._standing(self._known(now_ms), operation, now_ms)
        return standing is not Standing.STOPPED

    def standings(self) -> dict[Operation, Standing]:
        """How every class stands."""
        now_ms = self._now_ms()
        facts = self._known(now_ms)
        return {one: self._standing(facts, one, now_ms) for one in self._table}

    def view(self) -> dict[str, Any]:
        """The state for operators, as JSON values."""
        now_ms = self._now_ms()
        facts = self._known(now_ms)
        standings = {one: self._standing(facts, one, now_ms) for one in self._table}
        order = list(Standing)
        return {
            "state": max(standings.values(), key=order.index).value,
            "minimum": self._minimum,
            "origin": facts.epoch.origin if facts.epoch else None,
            "epoch": facts.epoch.epoch if facts.epoch else 0,
            "quarantined": facts.quarantined,
            "witnessed_at_ms": facts.witnessed_at_ms,
            "witnessed_size": facts.size,
            "silent_s": int(facts.silent_s(now_ms)),
            "operations": {one.value: state.value for one, state in standings.items()},
        }

    def _standing(self, facts: Facts, operation: Operation, now_ms: int) -> Standing:
        if facts.continued and operation in self._lost_for_good:
            return Standing.STOPPED
        return standing(facts, self._table[operation], self._minimum, now_ms)

    def _known(self, now_ms: int) -> Facts:
        with self._lock:
            held = self._facts
            if held is not None and 0 <= now_ms - self._read_at_ms < LOOK_AGAIN_MS:
                return held
        facts = read_facts(self._database)
        with self._lock:
            self._facts, self._read_at_ms = facts, now_ms
        return facts


def require_signable(connection: Connection) -> None:
    """Let a head be signed on demand, for a receipt or a proof.

    Raises:
        LogQuarantined: the epoch is not confirmed, and its heads are not signed yet.
    """
    current = store.epoch(connection)
    if current is not None and current.confirmed_at_ms is None:
        raise LogQuarantined("no head of a log in quarantine is signed")


def read_facts(database: Database) -> Facts:
    """What the database says of epochs and witnesses."""
    with database.read() as connection:
        epoch = store.epoch(connection)
        newest = store.newest_witnessed(connection) if epoch else None
    size = newest.checkpoint.size if newest else 0
    return Facts(epoch, newest.witnessed_at_ms if newest else None, size)
