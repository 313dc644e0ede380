"""What a fetch came to, holder by holder: nothing is silently partial."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class HolderReport:
    """What one holder answered.

    Attributes:
        holder: member id.
        asked: subjects asked about.
        answered: subjects with signals received and kept.
        refused: subjects refused, by stable code.
        error: stable code of what ended it early; empty: every request was answered.
        request_ms: time from sending to the opened answer, one a request, milliseconds.
        signals: signals received by status, over all subjects; `present`, `none_on_record`, ...
    """

    holder: str
    asked: int
    answered: int
    refused: Mapping[str, int]
    error: str
    request_ms: tuple[float, ...]
    signals: Mapping[str, int] = field(default_factory=dict)

    @property
    def unanswered(self) -> int:
        """Subjects for whom nothing came back, neither signals nor a refusal."""
        return self.asked - self.answered - sum(self.refused.values())

    @property
    def complete(self) -> bool:
        """Whether every subject was answered or refused."""
        return self.unanswered == 0


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What all holders answered."""

    purpose: str
    holders: tuple[HolderReport, ...]

    @property
    def asked(self) -> int:
        """Subject questions over all holders."""
        return sum(one.asked for one in self.holders)

    @property
    def answered(self) -> int:
        """Subject answers with signals over all holders."""
        return sum(one.answered for one in self.holders)

    @property
    def requests(self) -> int:
        """Requests answered over all holders."""
        return sum(len(one.request_ms) for one in self.holders)

    @property
    def median_ms(self) -> float:
        """Median time of a request; 0 when none was answered."""
        times = [ms for one in self.holders for ms in one.request_ms]
        return median(times) if times else 0.0

    @property
    def complete(self) -> bool:
        """Whether every holder answered or refused every subject."""
        return all(one.complete for one in self.holders)


@dataclass
class Tally:
    """Counts while one holder answers."""

    holder: str
    asked: int
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    error: str = ""
    request_ms: list[float] = field(default_factory=list)
    signals: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        """Subjects answered or refused so far."""
        return self.answered + self.refused.total()

    def report(self) -> HolderReport:
        """The counts as they stand."""
        return HolderReport(
            holder=self.holder,
            asked=self.asked,
            answered=self.answered,
            refused=dict(self.refused),
            error=self.error,
            request_ms=tuple(self.request_ms),
            signals=dict(self.signals),
        )
