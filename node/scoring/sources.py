"""Where a score's signals come from: this node, what it fetched before, and the other holders."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from audit.database import Connection
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
        directory: Callable[[], Directory],
        fetcher: Fetcher,
        deadline_s: float,
    ) -> None:
        self._member_id = member_id
        self._directory = directory
        self._fetcher = fetcher
        self._deadline_s = deadline_s
        self._known: Readable | None = None  # the last one: directory and catalogue seldom change

    def kept_of(self, connection: Connection, pseudonyms: Collection[bytes], now_ms: int) -> "Kept":
        """What this node has of some people: its own vectors and those released to it."""
        marked = marks.of_people(connection, sorted(pseudonyms))
        vectors = signals.of_subjects(connection, pseudonyms, now_ms)
        return Kept(self._member_id, vectors, marked)

    def others(self, readable: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """Sources but this node."""
        return frozenset(readable) - {self._member_id}

    def ask(self, person: AskedUnder, purpose: str) -> dict[str, HolderReport]:
        """Ask holders, all at once, under one deadline; what comes is kept. Reports by holder."""
        report = self._fetcher.fetch([person], purpose=purpose, deadline_s=self._deadline_s)
        return {one.holder: one for one in report.holders}

    def contributions(
        self,
        readable: Mapping[str, frozenset[str]],
        kept: Mapping[str, SignalVector],
        reports: Mapping[str, HolderReport],
    ) -> list[Contribution]:
        """What each source gave.

        Args:
            readable: of `readable`.
            kept: of `Kept.under`.
            reports: of `ask`, where holders were asked.
        """
        return [
            self._contribution(source, names, kept.get(source), reports.get(source))
            for source, names in readable.items()
        ]

    def readable(
        self, terms: Terms, decision: Decision, catalogue: Catalogue
    ) -> dict[str, frozenset[str]]:
        """Signals that the consent lets this node read, by source; this node first."""
        directory, known = self._directory(), self._known
        if known is None or not known.is_of(directory, catalogue):
            known = self._known = Readable(directory, catalogue)
        return self._readable(known, terms, decision)

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


class Kept:
    """What a node has of some people, read in one transaction."""

    def __init__(
        self,
        member_id: str,
        vectors: Mapping[bytes, Sequence[SignalVector]],
        marked: Mapping[bytes, Marks],
    ) -> None:
        self._member_id = member_id
        self._vectors = vectors
        self._marked = marked

    def marks(self, pseudonym: bytes) -> Marks:
        """Marks of one person."""
        return self._marked.get(pseudonym, NO_MARKS)

    def under(self, terms: Terms, purpose: str) -> dict[str, SignalVector]:
        """This node's own vector and those released under this consent, by source.

        Items that are disputed now are flagged, whenever they were released.
        """
        marked = self.marks(terms.pseudonym)
        return {
            vector.source: marked.over(vector)
            for vector in self._vectors.get(terms.pseudonym, ())
            if vector.purpose == (OWN if vector.source == self._member_id else purpose)
            and vector.consent_id in {None, terms.consent_id}
        }


class Readable:
    """Which signals may be read from whom: granted, and held according to the directory."""

    def __init__(self, directory: Directory, catalogue: Catalogue) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self._found: dict[tuple[str, frozenset[str]], frozenset[str]] = {}

    def is_of(self, directory: Directory, catalogue: Catalogue) -> bool:
        """Whether it was made of these very objects."""
        return self._directory is directory and self._catalogue is catalogue

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
