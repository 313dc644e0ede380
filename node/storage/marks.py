"""Marks on people and items that every answer has to respect, and how a vector looks under them.

One look-up by pseudonym inside the transaction that releases; almost everybody has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from sqlalchemy import delete, insert, select, update

from audit.bulk import SelectByKeys
from audit.database import Connection
from models.catalogue import SignalStatus
from node.storage.rights_tables import subject_mark
from node.storage.signals import Signals, SignalVector


class MarkKind(StrEnum):
    """What a mark says; the values are stored."""

    FROZEN = "frozen"  # nothing of the person is released or scored
    DISPUTED = "disputed"  # the item is shown as disputed, and no score rests on it
    STATED = "stated"  # the dispute is over, what the person states stays beside the item
    RESTRICTED = "restricted"  # kept because law says so, never served
    ERASED = "erased"  # deleted here: what an ingest brings again is dropped
    REVIEW = "review"  # a human looks into what was decided by machine


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark.

    Attributes:
        kind: what it says.
        source: member id of who furnished the item; empty: it is about the person.
        signal: the item; empty: all of the source.
        cause: member id of who said so, and the request there, for an item.
        since_ms: since when.
        statement: what the person states beside the item.
    """

    kind: MarkKind
    source: str
    signal: str
    cause: str
    since_ms: int
    statement: str = ""


@dataclass(frozen=True)
class Marks:
    """All marks of one person."""

    every: tuple[Mark, ...] = ()

    @cached_property
    def frozen(self) -> bool:
        """Whether nothing may be released or scored."""
        return any(one.kind is MarkKind.FROZEN for one in self.every)

    @cached_property
    def review_pending(self) -> bool:
        """Whether a human review was asked for and is not decided yet."""
        return any(one.kind is MarkKind.REVIEW for one in self.every)

    def items(self, *kinds: MarkKind) -> list[Mark]:
        """Marks on items, in order."""
        return [one for one in self.every if one.kind in kinds]

    def disputed(self, source: str) -> frozenset[str]:
        """Signals of `source` that are disputed."""
        return frozenset(
            one.signal
            for one in self.every
            if one.kind is MarkKind.DISPUTED and one.source == source
        )

    def flagged_at_ms(self, source: str) -> int:
        """Since when the newest dispute about an item of `source` is flagged; 0: none."""
        found = self.items(MarkKind.DISPUTED)
        return max((one.since_ms for one in found if one.source == source), default=0)

    def withheld(self, source: str) -> bool:
        """Whether what `source` holds is kept and not served, or gone."""
        return any(
            one.kind in {MarkKind.RESTRICTED, MarkKind.ERASED} and one.source == source
            for one in self.every
        )

    def over(self, vector: SignalVector) -> SignalVector:
        """The vector as it may be shown: disputed items flagged, withheld ones without a value."""
        if not self.every:
            return vector
        return replace(vector, signals=self.flagged(vector.source, vector.signals))

    def flagged(self, source: str, signals: Signals) -> Signals:
        """What `source` says, as `over` shows it."""
        if self.withheld(source):
            return dict.fromkeys(signals, _WITHHELD)
        return _flagged(signals, self.disputed(source))


NO_MARKS = Marks()

_WITHHELD = (int(SignalStatus.FROZEN), 0.0)
_DISPUTED = int(SignalStatus.DISPUTED)


def _flagged(signals: Signals, disputed: frozenset[str]) -> Signals:
    if not disputed:
        return signals
    return {
        **signals,
        **{name: (_DISPUTED, signals.get(name, (0, 0.0))[1]) for name in disputed},
    }


_OF_PEOPLE = SelectByKeys(
    lambda keys: select(
        subject_mark.c.pseudonym,
        subject_mark.c.kind,
        subject_mark.c.source,
        subject_mark.c.signal,
        subject_mark.c.cause,
        subject_mark.c.since_ms,
        subject_mark.c.statement,
    ).where(subject_mark.c.pseudonym.in_(keys))
)


def of_people(connection: Connection, pseudonyms: Sequence[bytes]) -> Mapping[bytes, Marks]:
    """Marks of some people, by pseudonym; who has none is absent."""
    found: dict[bytes, list[Mark]] = {}
    for pseudonym, kind, *rest in _OF_PEOPLE(connection, pseudonyms):
        found.setdefault(pseudonym, []).append(Mark(MarkKind(kind), *rest))
    return {
        pseudonym: Marks(tuple(sorted(marks, key=_order))) for pseudonym, marks in found.items()
    }


def of_person(connection: Connection, pseudonym: bytes) -> Marks:
    """Marks of one person."""
    return of_people(connection, [pseudonym]).get(pseudonym, NO_MARKS)


def every(connection: Connection) -> Mapping[bytes, Marks]:
    """Marks of everybody who has any, by pseudonym."""
    marked = list(connection.execute(select(subject_mark.c.pseudonym).distinct()).scalars())
    return of_people(connection, marked)


def people_with(connection: Connection, kind: MarkKind) -> set[bytes]:
    """Who has a mark of a kind."""
    query = select(subject_mark.c.pseudonym).where(subject_mark.c.kind == kind.value).distinct()
    return set(connection.execute(query).scalars())


def put(connection: Connection, pseudonym: bytes, mark: Mark) -> None:
    """Set a mark; one of the same kind, item and cause is replaced."""
    remove(connection, pseudonym, mark.kind, mark.cause)
    connection.execute(
        insert(subject_mark).values(
            pseudonym=pseudonym,
            kind=mark.kind.value,
            source=mark.source,
            signal=mark.signal,
            cause=mark.cause,
            since_ms=mark.since_ms,
            statement=mark.statement,
        )
    )


def remove(connection: Connection, pseudonym: bytes, kind: MarkKind, cause: str) -> int:
    """Take away what one cause marked; how many marks."""
    return connection.execute(
        delete(subject_mark).where(
            subject_mark.c.pseudonym == pseudonym,
            subject_mark.c.kind == kind.value,
            subject_mark.c.cause == cause,
        )
    ).rowcount


def restate(connection: Connection, pseudonym: bytes, cause: str, statement: str) -> None:
    """Change the statement beside the item that one cause marked."""
    connection.execute(
        update(subject_mark)
        .where(subject_mark.c.pseudonym == pseudonym, subject_mark.c.cause == cause)
        .values(statement=statement)
    )


def erase_texts(connection: Connection, pseudonym: bytes) -> None:
    """Clear what the person stated."""
    connection.execute(
        update(subject_mark).where(subject_mark.c.pseudonym == pseudonym).values(statement="")
    )


def _order(mark: Mark) -> tuple[str, str, str, int]:
    return mark.source, mark.signal, mark.kind.value, mark.since_ms
