"""What a verification finds."""

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

_KEPT = 20
_NAMED = 10_000  # a log with more bad leaves needs no finer explanation


class Outcome(IntEnum):
    """The verdict; the value is the exit status of the verifier."""

    VALID = 0
    INVALID = 3
    UNWITNESSED = 4
    DIVERGED = 5
    ERASED = 6
    UNRECONCILED = 7


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is not as it must be.

    Attributes:
        seq: sequence number of the first leaf concerned; None when none can be named.
        where: table or part of the export.
        reason: what is wrong, without the content of any leaf.
    """

    seq: int | None
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckpointResult:
    """How the log compares with one checkpoint.

    Attributes:
        origin: the log it names.
        size: its leaves.
        signed: whether a signature was checked.
        matches: whether the log is the one it speaks of.
        reason: why not.
        covered: whether the two can be compared at all.
        witnessed: whether it has the cosignatures that a policy asks for.
    """

    origin: str
    size: int
    signed: bool
    matches: bool
    reason: str
    covered: bool = True
    witnessed: bool = False

    def line(self) -> str:
        """For a reader."""
        if self.matches:
            state = "matches, witnessed" if self.witnessed else "matches"
        else:
            state = f"{'DIVERGES' if self.covered else 'not compared'}: {self.reason}"
        signed = "signature verified" if self.signed else "signature not checked, no key given"
        return f"checkpoint {self.origin} at {self.size} ({signed}): {state}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "origin": self.origin,
            "size": self.size,
            "signed": self.signed,
            "matches": self.matches,
            "covered": self.covered,
            "witnessed": self.witnessed,
            "reason": self.reason,
        }


@dataclass(slots=True)
class Findings:
    """Collects failures: counts all, keeps some, and knows the one with the lowest number."""

    count: int = 0
    first: Failure | None = None
    kept: list[Failure] = field(default_factory=list)
    _named: list[int] = field(default_factory=list)  # sorted

    def add(self, seq: int | None, where: str, reason: str) -> None:
        """Note a failure of one leaf, or of no leaf in particular."""
        failure = Failure(seq, where, reason)
        self.count += 1
        if seq is not None and len(self._named) < _NAMED:
            insort(self._named, seq)
        if len(self.kept) < _KEPT:
            self.kept.append(failure)
        if self.first is None or _order(failure) < _order(self.first):
            self.first = failure

    def add_range(self, start: int, stop: int, where: str, reason: str) -> None:
        """Note that something in start <= seq < stop is wrong, if no failure so far explains it.

        One bad leaf spoils every hash above it; it is the leaf that is to be named.
        """
        at = bisect_left(self._named, start)
        explained = at < len(self._named) and self._named[at] < stop
        if not explained and len(self._named) < _NAMED:
            self.add(start, where, reason)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one verification.

    Attributes:
        outcome: the verdict.
        size: leaves of the log, as far as it was read.
        root: root hash re-computed from them.
        failure_count: how many failures there are.
        first_failure: the one with the lowest sequence number.
        failures: up to 20 of them.
        checkpoints: comparison with each given checkpoint.
        start: the first leaf that was read; of those before, an export has subtree hashes only.
    """

    outcome: Outcome
    size: int
    root: bytes
    failure_count: int
    first_failure: Failure | None
    failures: tuple[Failure, ...]
    checkpoints: tuple[CheckpointResult, ...]
    start: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "outcome": self.outcome.name.lower(),
            "exit_code": int(self.outcome),
            "start": self.start,
            "size": self.size,
            "root": self.root.hex(),
            "failure_count": self.failure_count,
            "first_failure": _failure(self.first_failure) if self.first_failure else None,
            "failures": [_failure(failure) for failure in self.failures],
            "checkpoints": [item.to_dict() for item in self.checkpoints],
        }

    def lines(self) -> list[str]:
        """The report as text, verdict first."""
        noun = "leaf" if self.size == 1 else "leaves"
        found = [f"{self.outcome.name.lower()}: {self.size} {noun}, root {self.root.hex()}"]
        if self.start:
            found.append(
                f"  leaves {self.start} to {self.size - 1} were read, those before were not"
            )
        if self.first_failure is not None:
            at = self.first_failure
            place = "no single leaf" if at.seq is None else f"leaf {at.seq}"
            found.append(f"  first failure: {place} ({at.where}): {at.reason}")
            if self.failure_count > 1:
                found.append(f"  failures in all: {self.failure_count}")
        found += [f"  {item.line()}" for item in self.checkpoints]
        return found


def _order(failure: Failure) -> float:
    return float("inf") if failure.seq is None else failure.seq


def _failure(failure: Failure) -> dict[str, Any]:
    return {"seq": failure.seq, "where": failure.where, "reason": failure.reason}
