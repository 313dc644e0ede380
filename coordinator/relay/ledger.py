"""What the relay remembers of the calls it carried: who with whom, how many, how large."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Database
from audit.leaf import Entry
from audit.store import AuditLog
from coordinator.membership import ACTOR


@dataclass
class _Sum:
    calls: int = 0
    there: int = 0
    back: int = 0


class CarriedLedger:
    """Sums by caller and callee in memory; written to the audit log now and then.

    Args:
        database: the coordinator's.
        audit: its log.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(self, database: Database, audit: AuditLog, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._audit = audit
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, str], _Sum] = {}

    def add(self, caller: str, callee: str, there: int, back: int) -> None:
        """A call is over that carried so many sealed bytes each way."""
        with self._lock:
            one = self._sums.setdefault((caller, callee), _Sum())
            one.calls += 1
            one.there += there
            one.back += back

    def write(self) -> None:
        """One audit leaf for each pair that called since the last write.

        Raises:
            CredenceError: the log cannot be written; the sums are kept for the next time.
        """
        with self._lock:
            sums = {pair: _Sum(one.calls, one.there, one.back) for pair, one in self._sums.items()}
        if not sums:
            return
        at_ms = self._now_ms()
        with self._database.write() as connection:
            self._audit.append_many(
                connection, [_entry(pair, one, at_ms) for pair, one in sorted(sums.items())]
            )
        self._forget(sums)

    def _forget(self, written: dict[tuple[str, str], _Sum]) -> None:
        with self._lock:
            for pair, done in written.items():
                one = self._sums[pair]
                one.calls -= done.calls
                one.there -= done.there
                one.back -= done.back
                if not one.calls:
                    del self._sums[pair]


def _entry(pair: tuple[str, str], one: _Sum, at_ms: int) -> Entry:
    caller, callee = pair
    return Entry(
        kind="relay.carried",
        actor=ACTOR,
        purpose="relay",
        correlation="",
        payload={
            "caller": caller,
            "callee": callee,
            "calls": one.calls,
            "bytes_there": one.there,
            "bytes_back": one.back,
        },
        subject=None,
        at_ms=at_ms,
    )
