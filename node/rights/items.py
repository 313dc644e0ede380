"""What a person's institution knows of them, item by item, as they may see and dispute it."""

from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Connection
from models.catalogue import Catalogue, SignalStatus
from node.storage import consent_lists, marks, signals
from node.storage.consent_lists import ConsentParties
from node.storage.marks import Marks
from node.storage.signals import SignalVector
from protocols.directory import Directory, UnknownMember


@dataclass(frozen=True, slots=True)
class Item:
    """One item of one source.

    Attributes:
        source: member id of who furnishes it.
        source_name: its legal name.
        signal: id in the catalogue.
        title: what it is, in English.
        source_class: class of data.
        unit: of the value.
        status: name of the signal status; `unseen`: held elsewhere, never released to here.
        value: the value, or None.
        as_of_ms: what it describes; None: unseen.
        statement: what the person states beside it.
    """

    source: str
    source_name: str
    signal: str
    title: str
    source_class: str
    unit: str
    status: str
    value: float | None
    as_of_ms: int | None
    statement: str = ""


class Items:
    """Reads the items of a person."""

    def __init__(
        self,
        member_id: str,
        directory: Callable[[], Directory],
        catalogue: Callable[[], Catalogue],
    ) -> None:
        """Read as member `member_id`."""
        self._member_id = member_id
        self._directory = directory
        self._catalogue = catalogue

    def of_person(self, connection: Connection, pseudonym: bytes, now_ms: int) -> list[Item]:
        """All items: own, released to here, and those that a holder in a consent may hold."""
        marked = marks.of_person(connection, pseudonym)
        vectors = {
            one.source: marked.over(one)
            for one in sorted(
                signals.of_subject(connection, pseudonym, now_ms), key=lambda one: one.as_of_ms
            )
        }
        consents = consent_lists.kept_by(connection, pseudonym, self._member_id)
        holders = frozenset[str]().union(*(one.holders for one in consents))
        found: list[Item] = []
        for source in (self._member_id, *sorted((holders | set(vectors)) - {self._member_id})):
            found += self._of_source(source, vectors.get(source), marked)
        return found

    def furnishes(self, member_id: str, signal: str) -> bool:
        """Whether the signal is one that the directory says the member holds."""
        return signal in self._signals_of(member_id)

    def known(self, connection: Connection, pseudonym: bytes, source: str, signal: str) -> bool:
        """Whether `source` may hold the item, and the person's consents or records name it."""
        if not self.furnishes(source, signal):
            return False
        if source == self._member_id:
            return True
        consents = consent_lists.kept_by(connection, pseudonym, self._member_id)
        return any(_names(one, source) for one in consents)

    def _of_source(self, source: str, vector: SignalVector | None, marked: Marks) -> list[Item]:
        stated = {one.signal: one.statement for one in marked.every if one.source == source}
        catalogue = self._catalogue()
        found = []
        for signal in self._signals_of(source):
            spec = catalogue.signal(signal)
            status, value = _said(vector, signal)
            if vector is None and signal in marked.disputed(source):
                status = "disputed"
            valued = status in {"present", "disputed"}
            found.append(
                Item(
                    source=source,
                    source_name=self._name(source),
                    signal=signal,
                    title=spec.title,
                    source_class=spec.source_class,
                    unit=spec.unit,
                    status=status,
                    value=value if valued and vector is not None else None,
                    as_of_ms=vector.as_of_ms if vector is not None else None,
                    statement=stated.get(signal, ""),
                )
            )
        return found

    def _signals_of(self, source: str) -> list[str]:
        try:
            holds = self._directory().member(source).holds
        except UnknownMember:
            return []
        return [spec.id for spec in self._catalogue().held_by(*holds)]

    def _name(self, source: str) -> str:
        try:
            return self._directory().member(source).name
        except UnknownMember:
            return source


def _said(vector: SignalVector | None, signal: str) -> tuple[str, float]:
    if vector is None:
        return "unseen", 0.0
    status, value = vector.signals.get(signal, (int(SignalStatus.NOT_HELD), 0.0))
    return SignalStatus(status).name.lower(), value


def _names(consent: ConsentParties, source: str) -> bool:
    return source in consent.holders
