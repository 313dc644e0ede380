"""Where a score's signals come from: this node, what it fetched before, and the other holders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from audit.database import Connection, Database
from consent.policy import Decision, Terms
from models.catalogue import Catalogue
from node.exchange.report import FetchReport, HolderReport
from node.scoring.evaluation import Contribution
from node.storage import marks, signals
from node.storage.marks import NO_MARKS, Marks
from node.storage.signals import OWN, SignalVector
from protocols.directory import Directory, MemberNotActive, UnknownMember


@dataclass(frozen=True, slots=True)
class AskedUnder:
    """A consent, narrowed to the holders that have to be asked (`exchange.pipeline.Consented`)."""

    consent_id: str
    consent_hash: bytes
    pseudonym: bytes
    holders: frozenset[str]


class Fetcher(Protocol):
    """The recipient's side of the exchange; `node.exchange.client.ExchangeClient` is one."""

    def fetch(
        self, people: Sequence[AskedUnder], *, purpose: str, deadline_s: float
    ) -> FetchReport:
        """Ask the holders and keep what comes; see `ExchangeClient.fetch`."""
        ...


class ScoreSources:
    """Gathers what may be read for scores; thread-safe."""

    def __init__(
        self,
        *,
        member_id: str,
        database: Database,
        directory: Callable[[], Directory],
        fetcher: Fetcher,
        deadline_s: float,
    ) -> None:
        self._member_id = member_id
        self._database = database
        self._directory = directory
        self._fetcher = fetcher
        self._deadline_s = deadline_s

    def kept(
        self, connection: Connection, terms: Terms, purpose: str, now_ms: int
    ) -> dict[str, SignalVector]:
        """What this node has: its own vector and those released under this consent, by source.

        Items that are disputed now are flagged, whenever they were released.
        """
        marked = marks.of_person(connection, terms.pseudonym)
        return {
            vector.source: marked.over(vector)
            for vector in signals.of_subject(connection, terms.pseudonym, now_ms)
            if vector.purpose == (OWN if vector.source == self._member_id else purpose)
            and vector.consent_id in {None, terms.consent_id}
        }

    def gather(
        self,
        terms: Terms,
        decision: Decision,
        kept: Mapping[str, SignalVector],
        purpose: str,
        catalogue: Catalogue,
        now_ms: Callable[[], int],
    ) -> list[Contribution]:
        """Complete what is kept by asking the other holders, and say what each one gave.

        Args:
            terms: the consent in force.
            decision: what it grants.
            kept: of `kept`, read moments ago.
            purpose: purpose of the score call.
            catalogue: whose signals are read.
            now_ms: the clock; asking takes time.
        """
        readable = self.readable(terms, decision, catalogue)
        ask = frozenset(readable) - {self._member_id} - frozenset(kept)
        found, reports = kept, dict[str, HolderReport]()
        if ask:
            person = AskedUnder(terms.consent_id, terms.consent_hash, terms.pseudonym, ask)
            report = self._fetcher.fetch([person], purpose=purpose, deadline_s=self._deadline_s)
            reports = {one.holder: one for one in report.holders}
            with self._database.read() as connection:
                found = self.kept(connection, terms, purpose, now_ms())
        return [
            self._contribution(source, names, found.get(source), reports.get(source))
            for source, names in readable.items()
        ]

    def readable(
        self, terms: Terms, decision: Decision, catalogue: Catalogue
    ) -> dict[str, frozenset[str]]:
        """Signals that the consent lets this node read, by source; this node first."""
        return self._readable(Readable(self._directory(), catalogue), terms, decision)

    def kept_many(
        self,
        connection: Connection,
        consented: Sequence[tuple[Terms, Decision]],
        purpose: str,
        catalogue: Catalogue,
        now_ms: int,
        *,
        exchanged: bool,
    ) -> list[list[Contribution]]:
        """What is kept about many subjects, for each in turn; nobody is asked.

        Args:
            connection: a transaction of this node's database.
            consented: consents in force and what they grant.
            purpose: purpose under which signals were released.
            catalogue: whose signals are read.
            now_ms: UTC milliseconds.
            exchanged: whether signals of other holders are read.
        """
        known = Readable(self._directory(), catalogue)
        own = signals.of_source(connection, self._member_id, OWN, now_ms)
        others = frozenset[str]().union(*(terms.holders for terms, _ in consented))
        held = {
            source: signals.of_source(connection, source, purpose, now_ms)
            for source in (others - {self._member_id} if exchanged else ())
        } | {self._member_id: own}
        marked = marks.every(connection)
        return [
            [
                Contribution(source, "own" if source == self._member_id else "cached",
                             "", names, _under(held.get(source, {}), terms, marked))
                for source, names in self._readable(known, terms, decision).items()
            ]
            for terms, decision in consented
        ]  # fmt: skip

    def _readable(
        self, known: "Readable", terms: Terms, decision: Decision
    ) -> dict[str, frozenset[str]]:
        """Signals that may be read, by source; this node first, who may give none is absent."""
        sources = (self._member_id, *sorted(terms.holders - {self._member_id}))
        found = {source: known.signals(source, decision.categories) for source in sources}
        return {source: names for source, names in found.items() if names}

    def _contribution(
        self,
        source: str,
        readable: frozenset[str],
        vector: SignalVector | None,
        report: HolderReport | None,
    ) -> Contribution:
        if source == self._member_id:
            return Contribution(source, "own", "", readable, vector)
        if vector is not None:
            return Contribution(source, "fetched" if report else "cached", "", readable, vector)
        if report is not None and report.refused:
            return Contribution(source, "refused", next(iter(report.refused)), readable, None)
        code = report.error if report is not None and report.error else "no_answer"
        return Contribution(source, "unavailable", code, readable, None)


class Readable:
    """Which signals may be read from whom: granted, and held according to the directory."""

    def __init__(self, directory: Directory, catalogue: Catalogue) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._found: dict[tuple[str, frozenset[str]], frozenset[str]] = {}

    def signals(self, source: str, granted: frozenset[str]) -> frozenset[str]:
        """Signals of `source` within the granted source classes; none of an inactive member."""
        key = (source, granted)
        if key not in self._found:
            try:
                holds = granted & frozenset(self._directory.active_member(source).holds)
            except (UnknownMember, MemberNotActive):
                holds = frozenset()
            self._found[key] = frozenset(spec.id for spec in self._catalogue.held_by(*holds))
        return self._found[key]


def _under(
    vectors: Mapping[bytes, SignalVector], terms: Terms, marked: Mapping[bytes, Marks]
) -> SignalVector | None:
    vector = vectors.get(terms.pseudonym)
    if vector is None or vector.consent_id not in {None, terms.consent_id}:
        return None
    return marked.get(terms.pseudonym, NO_MARKS).over(vector)
