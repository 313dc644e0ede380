"""What this node holds about a person: its own figures and those it was given, each by its source.

Every signal of the catalogue is listed, with its status, so that a person also sees what nobody
holds. A figure that was given under a consent shows until when it is kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.database import Database
from models.catalogue import Catalogue, SignalSpec, SignalStatus
from node.storage import marks, outcomes, signals, subjects
from node.storage.signals import OWN, SignalVector
from node.storage.subjects import Subject
from protocols.directory import Directory, UnknownMember
from protocols.errors import CredenceError


@dataclass(frozen=True, slots=True)
class HeldFigure:
    """One signal at one source.

    Attributes:
        signal_id: its name in the catalogue.
        unit: of the value.
        status: name of `SignalStatus` in lower case: `present`, `none_on_record`, ...
        value: the value; None where the status says that there is none.
    """

    signal_id: str
    unit: str
    status: str
    value: float | None


@dataclass(frozen=True, slots=True)
class HeldClass:
    """The signals of one class of data from one source for one purpose.

    Attributes:
        source: member id of who keeps the records.
        source_name: its legal name.
        purpose: `own`, or the purpose it was released for.
        source_class: class of data a consent names.
        as_of_ms: the time the figures describe.
        consent_id: the consent they were given under; None for own.
        expires_at_ms: when they are deleted; None for own.
        figures: in the catalogue's order.
    """

    source: str
    source_name: str
    purpose: str
    source_class: str
    as_of_ms: int
    consent_id: str | None
    expires_at_ms: int | None
    figures: tuple[HeldFigure, ...]


@dataclass(frozen=True, slots=True)
class Holdings:
    """All of it.

    Attributes:
        subject: the person as this node knows them.
        classes: this node's own first.
        outcome: the known outcome used in training (1: default), or None.
    """

    subject: Subject
    classes: tuple[HeldClass, ...]
    outcome: int | None


class HoldingsReader:
    """Reads what is held about one person."""

    def __init__(
        self,
        *,
        database: Database,
        member_id: str,
        catalogue: Callable[[], Catalogue],
        directory: Callable[[], Directory],
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._member_id = member_id
        self._catalogue = catalogue
        self._directory = directory
        self._clock = clock

    def read(self, pseudonym: bytes) -> Holdings:
        """Everything held now.

        Raises:
            UnknownSubject: nobody has this pseudonym here.
            NotJoined: there is no catalogue yet.
        """
        catalogue = self._catalogue()
        with self._database.read() as connection:
            subject = subjects.by_pseudonym(connection, pseudonym)
            marked = marks.of_person(connection, pseudonym)
            kept = signals.of_subject(connection, pseudonym, self._clock())
            vectors = [marked.over(vector) for vector in kept]  # a disputed figure says so here too
            label = outcomes.of_subject(connection, pseudonym)
        vectors.sort(key=lambda one: (one.purpose != OWN, one.source, one.purpose))
        classes = [held for vector in vectors for held in self._classes(vector, catalogue)]
        return Holdings(subject, tuple(classes), label)

    def _classes(self, vector: SignalVector, catalogue: Catalogue) -> Sequence[HeldClass]:
        by_class: dict[str, list[HeldFigure]] = {}
        for spec in catalogue.signals:
            said = vector.signals.get(spec.id)
            if said is not None and spec.derived is None:
                by_class.setdefault(spec.source_class, []).append(_figure(spec, said))
        return [
            HeldClass(
                source=vector.source,
                source_name=self._name(vector.source),
                purpose=vector.purpose,
                source_class=source_class,
                as_of_ms=vector.as_of_ms,
                consent_id=vector.consent_id,
                expires_at_ms=vector.expires_at_ms,
                figures=tuple(figures),
            )
            for source_class, figures in by_class.items()
        ]

    def _name(self, member_id: str) -> str:
        try:
            return self._directory().member(member_id).name
        except (UnknownMember, CredenceError):
            return member_id


def _figure(spec: SignalSpec, said: tuple[int, float]) -> HeldFigure:
    status, value = SignalStatus(said[0]), said[1]
    has_value = status in {SignalStatus.PRESENT, SignalStatus.DISPUTED}
    return HeldFigure(spec.id, spec.unit, status.name.lower(), value if has_value else None)
