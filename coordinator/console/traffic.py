"""Relay volume, out of the audit log's own leaves (`relay.carried`, written once a minute).

The log is read once from its end and from then on only where it grew. What a leaf says of a call is
who asked whom, how often and how many sealed bytes: the relay knows no more.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from audit.database import Database
from audit.leaf import parse_leaf
from audit.store import AuditLog
from coordinator.console.views import Carried, Traffic
from protocols.errors import CredenceError

HOUR_MS = 3_600_000
HOURS = 24
_MARK = b'"kind":"relay.carried"'
MAX_LEAVES = 50_000  # looked at when the process starts


@dataclass(frozen=True, slots=True)
class _Carried:
    at_ms: int
    pair: tuple[str, str]
    calls: int
    sealed_bytes: int


class TrafficReader:
    """Sums what the relay carried over the last 24 hours; thread-safe."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._lock = threading.Lock()
        self._read_to: int | None = None
        self._kept: list[_Carried] = []

    def traffic(self, now_ms: int) -> Traffic:
        """As it stands now.

        Raises:
            DatabaseUnavailable: the log cannot be read.
        """
        first = now_ms // HOUR_MS * HOUR_MS - (HOURS - 1) * HOUR_MS
        with self._lock:
            self._catch_up()
            self._kept = [one for one in self._kept if one.at_ms >= first]
            kept = list(self._kept)
        hours = {first + number * HOUR_MS: Carried() for number in range(HOURS)}
        pairs: dict[tuple[str, str], Carried] = {}
        for one in kept:
            hour = min(one.at_ms // HOUR_MS * HOUR_MS, first + (HOURS - 1) * HOUR_MS)
            hours[hour] = hours[hour].plus(one.calls, one.sealed_bytes)
            before = pairs.get(one.pair, Carried())
            pairs[one.pair] = before.plus(one.calls, one.sealed_bytes)
        return Traffic(tuple(hours.items()), dict(sorted(pairs.items())))

    def _catch_up(self) -> None:
        with self._database.read() as connection:
            size = self._audit.head(connection).size
            start = max(0, size - MAX_LEAVES) if self._read_to is None else self._read_to
            found = [
                (leaf.seq, parse_leaf(leaf.leaf)["at_ms"])
                for leaf in self._audit.leaves(connection, start, size)
                if _MARK in leaf.leaf  # as `audit.leaf` writes it: no need to parse the others
            ]
        for seq, at_ms in found:
            self._kept.extend(self._opened(seq, at_ms))
        self._read_to = size

    def _opened(self, seq: int, at_ms: int) -> Iterator[_Carried]:
        try:
            said = self._audit.payload(seq)
        except CredenceError:
            return  # a damaged payload is what `credence audit verify` is for
        there, back = int(said["bytes_there"]), int(said["bytes_back"])
        yield _Carried(at_ms, (said["caller"], said["callee"]), int(said["calls"]), there + back)
