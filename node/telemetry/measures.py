"""Counters and distributions of a running process.

What is counted is a table. A label is one of a few words by its nature: a route's template, a
status, an outcome, a member of the network. No name, reference, client, consent or address is ever
one; and should a label come to take more values than it may, the rest are counted as `other`, so
that neither a mistake nor a stranger can fill the memory or say something about a person.
"""

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

MOST_SERIES: Final = 200  # of one measure
OTHER: Final = "other"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CALLS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True, slots=True)
class Described:
    """One measure.

    Attributes:
        name: without `_total`, as Prometheus names are.
        help: what it is.
        labels: names of its labels.
        bounds: upper bounds of a distribution's buckets; empty: it is a counter.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


class Measure(Enum):
    """All that is counted; gauges are read where they stand (`node.telemetry.gauges`)."""

    REQUESTS = Described(
        "credence_http_requests", "Answered requests.", ("method", "route", "status")
    )
    REQUEST_SECONDS = Described(
        "credence_http_request_seconds", "From a request to its answer.", ("route",), _SECONDS
    )
    SCORE_SECONDS = Described(
        "credence_score_seconds", "From a score call to its outcome.", ("outcome",), _SECONDS
    )
    GROUP_CALLS = Described(
        "credence_score_group_calls", "Score calls answered in one transaction.", (), _CALLS
    )
    COMMIT_SECONDS = Described(
        "credence_score_commit_seconds", "A score transaction's commit to disk.", (), _SECONDS
    )
    FETCH_SECONDS = Described(
        "credence_holder_fetch_seconds",
        "From asking a holder to the end of its answer.",
        ("holder", "status"),
        _SECONDS,
    )


@dataclass(slots=True)
class Series:
    """One combination of labels.

    Attributes:
        buckets: how many fell between one bound and the next; the last: above all.
        count: how many in all.
        total: their sum.
    """

    buckets: list[int] = field(default_factory=list)
    count: int = 0
    total: float = 0.0


class Measures:
    """Counts; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[Measure, dict[tuple[str, ...], Series]] = {one: {} for one in Measure}

    def count(self, measure: Measure, *labels: str) -> None:
        """One more."""
        with self._lock:
            self._of(measure, labels).count += 1

    def observe(self, measure: Measure, value: float, *labels: str) -> None:
        """One more, of this size."""
        with self._lock:
            series = self._of(measure, labels)
            series.buckets[bisect_left(measure.value.bounds, value)] += 1
            series.count += 1
            series.total += value

    def read(self, measure: Measure) -> Mapping[tuple[str, ...], Series]:
        """What was counted, by labels."""
        with self._lock:
            held = self._series[measure]
            copied = {
                labels: Series(list(one.buckets), one.count, one.total)
                for labels, one in held.items()
            }
        return MappingProxyType(copied)

    def _of(self, measure: Measure, labels: Sequence[str]) -> Series:
        held, key = self._series[measure], tuple(labels)
        found = held.get(key)
        if found is None:
            if len(held) >= MOST_SERIES:
                key = (OTHER,) * len(key)
            found = held.setdefault(key, Series([0] * (len(measure.value.bounds) + 1)))
        return found
