"""Lays two parties' statements of their exchanges beside each other (`audit.verifier.statement`).

Every entry of one must have its counterpart at the other: what a holder released or refused, the
recipient received or declined, with the same content. Entries are paired by their tags; where one
side's was erased, by the request's id, which stands in both leaves. What is found:

| finding | what it means |
|---|---|
| `missing` | the party has no entry of an act that the other has one of: it omitted it, or |
|   | never had the answer |
| `differs` | both have one, and they say different things of what was answered |
| `falsified` | a party stated another content of an entry than its own leaf commits to: an |
|   | opened receipt of the entry shows it |
| `pending` | younger than `GRACE_MS` when the other stated: it may come yet |
| `erased` | both have one; a person was erased, so that contents cannot be compared |

`missing`, `differs` and `falsified` are discrepancies. A statement may hold more than its period
asks for; acts are judged inside the period of both, so that clocks a little apart do no harm.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from audit.verifier.receipt import CheckedEntry
from audit.verifier.statement import (
    DECLINED,
    IN,
    OUT,
    REFUSED,
    Row,
    Statement,
    blind,
)
from protocols.errors import Malformed

GRACE_MS = 5 * 60_000
MISSING, DIFFERS, FALSIFIED = "missing", "differs", "falsified"
PENDING, ERASED = "pending", "erased"
DISCREPANCIES = frozenset({MISSING, DIFFERS, FALSIFIED})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        what: see the module.
        party: who omitted or falsified, whose entry is awaited; empty when either may be at fault.
        correlation: id of the request.
        seqs: member -> sequence number of its entry.
    """

    what: str
    party: str
    correlation: str
    seqs: dict[str, int]

    def line(self) -> str:
        """For a reader."""
        at = ", ".join(f"{member} entry {seq}" for member, seq in sorted(self.seqs.items()))
        told = {
            MISSING: f"{self.party} has no entry",
            DIFFERS: "the two entries say different things; open both",
            FALSIFIED: f"{self.party} stated another content than its entry holds",
            PENDING: f"{self.party} may have its entry yet; state again",
            ERASED: "erased, the entries stand",
        }[self.what]
        return f"{self.what}: request {self.correlation} ({at}): {told}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "what": self.what,
            "party": self.party,
            "correlation": self.correlation,
            "seqs": self.seqs,
        }


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What came of it; `matched` counts the acts that both say the same of."""

    matched: int
    findings: tuple[Finding, ...]

    @property
    def discrepancies(self) -> tuple[Finding, ...]:
        """The findings that somebody has to answer for."""
        return tuple(one for one in self.findings if one.what in DISCREPANCIES)


def reconcile(left: Statement, right: Statement, opened: Sequence[CheckedEntry] = ()) -> Reconciled:
    """Pair the entries of two statements.

    Args:
        left: of one party about the other.
        right: of the other about it.
        opened: receipts with their contents, to settle who stated falsely where two differ.

    Raises:
        Malformed: the statements are not of two parties about each other, or their periods do not
            meet.
    """
    if (left.member, left.peer) != (right.peer, right.member) or left.member == right.member:
        raise Malformed("the two statements are not of two parties about each other")
    if max(left.since_ms, right.since_ms) >= min(left.until_ms, right.until_ms):
        raise Malformed("the two statements are of periods that do not meet")
    pairing = _Pairing(left, right, {(one.leaf_hash, one.seq): one for one in opened})
    pairing.pair(OUT, IN)
    pairing.pair(IN, OUT)
    found = sorted(pairing.findings, key=lambda one: sorted(one.seqs.items()))
    return Reconciled(pairing.matched, tuple(found))


class _Pairing:
    def __init__(
        self, left: Statement, right: Statement, opened: dict[tuple[bytes, int], CheckedEntry]
    ) -> None:
        self.left, self.right = left, right
        self.opened = opened
        self.since_ms = max(left.since_ms, right.since_ms)
        self.until_ms = min(left.until_ms, right.until_ms)
        self.matched = 0
        self.findings: list[Finding] = []

    def pair(self, left_kinds: frozenset[str], right_kinds: frozenset[str]) -> None:
        """Pair one direction: what one released with what the other received."""
        mine = [row for row in self.left.rows if row.kind in left_kinds]
        theirs = [row for row in self.right.rows if row.kind in right_kinds]
        by_tag: dict[bytes, list[Row]] = defaultdict(list)
        for row in theirs:
            if row.tag is not None:
                by_tag[row.tag].append(row)
        alone = []
        for row in mine:
            waiting = by_tag.get(row.tag) if row.tag is not None else None
            if waiting:
                self._compare(row, waiting.pop(0))
            else:
                alone.append(row)
        rest = [row for rows in by_tag.values() for row in rows]
        rest += [row for row in theirs if row.tag is None]
        self._by_request(alone, rest)

    def _by_request(self, mine: Iterable[Row], theirs: Iterable[Row]) -> None:
        """What no tag pairs: erased at one side, or not there."""
        waiting: dict[str, list[Row]] = defaultdict(list)
        for row in theirs:
            waiting[row.correlation].append(row)
        for row in mine:
            others = waiting[row.correlation]
            other = next((one for one in others if row.tag is None or one.tag is None), None)
            if other is None:
                self._alone(row, self.left, self.right)
            else:
                others.remove(other)
                self._found(ERASED, "", row, other)
        for others in waiting.values():
            for other in others:
                self._alone(other, self.right, self.left)

    def _alone(self, row: Row, owner: Statement, other: Statement) -> None:
        if not self.since_ms <= row.at_ms < self.until_ms:
            return
        late = row.at_ms + GRACE_MS > other.taken_at_ms
        finding = Finding(
            PENDING if late else MISSING, other.member, row.correlation, {owner.member: row.seq}
        )
        self.findings.append(finding)

    def _compare(self, mine: Row, theirs: Row) -> None:
        holder, recipient = (mine, theirs) if mine.kind in OUT else (theirs, mine)
        contradictory = holder.kind == REFUSED and recipient.kind != DECLINED
        same = mine.content == theirs.content and mine.purpose == theirs.purpose
        if same and not contradictory:
            self.matched += 1
            return
        for row, owner in ((mine, self.left), (theirs, self.right)):
            if self._falsified(row):
                self._found(FALSIFIED, owner.member, mine, theirs)
                return
        self._found(DIFFERS, "", mine, theirs)

    def _falsified(self, row: Row) -> bool:
        opened = self.opened.get((row.leaf_hash, row.seq))
        if opened is None or opened.payload is None:
            return False
        return blind(opened.payload) != (row.tag, row.content)

    def _found(self, what: str, party: str, mine: Row, theirs: Row) -> None:
        seqs = {self.left.member: mine.seq, self.right.member: theirs.seq}
        self.findings.append(Finding(what, party, mine.correlation, seqs))
