"""Requests about people's rights and what happened to them; reports; freezes; corrections."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, case, delete, func, insert, select, update

from audit.database import Connection
from consent.rights import Event, Freeze, Kind, State
from node.storage.rights_tables import (
    credit_report,
    rights_event,
    rights_request,
    signal_correction,
    subject_freeze,
)
from node.storage.tables import consent, subject


@dataclass(frozen=True, slots=True)
class Request:
    """One request; fields as the columns of `rights_request`."""

    request_id: str
    kind: Kind
    state: State
    pseudonym: bytes
    origin: str
    origin_request: str
    source: str
    signal: str
    about: str
    text: str
    statement: str
    proposal: str
    finding: str
    outcome: str
    proposed_by: str
    decided_by: str
    taken_by: str
    opened_at_ms: int
    due_at_ms: int
    ended_at_ms: int | None
    once: str | None

    @property
    def cause(self) -> str:
        """What marks that rest on this request name."""
        return f"{self.origin}:{self.origin_request}"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to a request."""

    event: Event | None  # None: it was opened
    state: State
    actor: str
    at_ms: int
    leaf_seq: int


@dataclass(frozen=True, slots=True)
class Report:
    """One report that was given to a person."""

    year: int
    number: int
    at_ms: int
    leaf_seq: int


@dataclass(frozen=True, slots=True)
class FreezeWord:
    """The newest word of a consent node on a person."""

    controller: str
    state: Freeze
    at_ms: int


@dataclass(frozen=True, slots=True)
class Correction:
    """What was corrected: (status, value) before and after, and why."""

    signal: str
    as_of_ms: int
    old: tuple[int, float]
    new: tuple[int, float]
    request_id: str
    at_ms: int
    leaf_seq: int


OPENED = "open"


# -- requests


def lock_person(connection: Connection, pseudonym: bytes) -> bool:
    """Whether this node knows the person; their row is locked (a no-op on SQLite)."""
    query = select(subject.c.pseudonym).where(subject.c.pseudonym == pseudonym).with_for_update()
    return connection.execute(query).first() is not None


def add(connection: Connection, request: Request) -> None:
    """Store a new request."""
    values = {column.name: getattr(request, column.name) for column in rights_request.columns}
    values |= {"kind": request.kind.value, "state": request.state.value}
    connection.execute(insert(rights_request).values(values))


def change(connection: Connection, request_id: str, **values: Any) -> None:
    """Change columns of a request."""
    stored = {
        name: value.value if isinstance(value, State) else value for name, value in values.items()
    }
    connection.execute(
        update(rights_request).where(rights_request.c.request_id == request_id).values(stored)
    )


def find(connection: Connection, request_id: str) -> Request | None:
    """One request, or None; locked for the rest of a write transaction."""
    return _first(connection, rights_request.c.request_id == request_id)


def of_origin(connection: Connection, origin: str, origin_request: str) -> Request | None:
    """A request by its name at the person's consent node, or None."""
    return _first(
        connection,
        (rights_request.c.origin == origin) & (rights_request.c.origin_request == origin_request),
    )


def once(connection: Connection, pseudonym: bytes, key: str) -> Request | None:
    """The request that a form made when it was first sent, or None."""
    return _first(
        connection, (rights_request.c.pseudonym == pseudonym) & (rights_request.c.once == key)
    )


def of_person(connection: Connection, pseudonym: bytes, origin: str) -> list[Request]:
    """All requests of a person at their own institution, the newest first."""
    query = (
        select(rights_request)
        .where(rights_request.c.pseudonym == pseudonym, rights_request.c.origin == origin)
        .order_by(rights_request.c.opened_at_ms.desc(), rights_request.c.request_id)
    )
    return [_request(row) for row in connection.execute(query)]


def open_requests(
    connection: Connection, kinds: Iterable[Kind] = tuple(Kind), limit: int = 500
) -> list[Request]:
    """What waits, by deadline."""
    query = (
        select(rights_request)
        .where(
            rights_request.c.ended_at_ms.is_(None),
            rights_request.c.kind.in_([kind.value for kind in kinds]),
        )
        .order_by(rights_request.c.due_at_ms, rights_request.c.request_id)
        .limit(limit)
    )
    return [_request(row) for row in connection.execute(query)]


def ended_requests(connection: Connection, limit: int = 100) -> list[Request]:
    """What was ended, the newest first."""
    query = (
        select(rights_request)
        .where(rights_request.c.ended_at_ms.is_not(None))
        .order_by(rights_request.c.ended_at_ms.desc(), rights_request.c.request_id)
        .limit(limit)
    )
    return [_request(row) for row in connection.execute(query)]


def stated_requests(connection: Connection, limit: int = 200) -> list[Request]:
    """Disputes with a statement of the person, the newest first."""
    query = (
        select(rights_request)
        .where(rights_request.c.statement != "")
        .order_by(rights_request.c.opened_at_ms.desc(), rights_request.c.request_id)
        .limit(limit)
    )
    return [_request(row) for row in connection.execute(query)]


def counts(connection: Connection, now_ms: int) -> dict[Kind, tuple[int, int]]:
    """Waiting and overdue requests by kind."""
    overdue = func.sum(case((rights_request.c.due_at_ms <= now_ms, 1), else_=0))
    query = (
        select(rights_request.c.kind, func.count(), overdue)
        .where(rights_request.c.ended_at_ms.is_(None))
        .group_by(rights_request.c.kind)
    )
    return {
        Kind(kind): (int(number), int(late or 0))
        for kind, number, late in connection.execute(query)
    }


def count_open(connection: Connection, pseudonym: bytes) -> int:
    """How many requests of a person wait."""
    query = (
        select(func.count())
        .select_from(rights_request)
        .where(rights_request.c.pseudonym == pseudonym, rights_request.c.ended_at_ms.is_(None))
    )
    return connection.execute(query).scalar_one()


def add_event(connection: Connection, request_id: str, happening: Happening) -> None:
    """Record what happened."""
    connection.execute(
        insert(rights_event).values(
            request_id=request_id,
            event=happening.event.value if happening.event else OPENED,
            state=happening.state.value,
            actor=happening.actor,
            at_ms=happening.at_ms,
            leaf_seq=happening.leaf_seq,
        )
    )


def events(connection: Connection, request_id: str) -> list[Happening]:
    """What happened to a request, in order."""
    query = select(rights_event).where(rights_event.c.request_id == request_id)
    return [
        Happening(
            event=None if row.event == OPENED else Event(row.event),
            state=State(row.state),
            actor=row.actor,
            at_ms=row.at_ms,
            leaf_seq=row.leaf_seq,
        )
        for row in connection.execute(query.order_by(rights_event.c.event_id))
    ]


def erase_texts(connection: Connection, pseudonym: bytes) -> None:
    """Clear all that was written in the requests of a person, and what was corrected."""
    connection.execute(
        update(rights_request)
        .where(rights_request.c.pseudonym == pseudonym)
        .values(text="", statement="", proposal="", outcome="")
    )
    connection.execute(delete(signal_correction).where(signal_correction.c.pseudonym == pseudonym))


# -- freezes


def freeze_words(connection: Connection, pseudonym: bytes) -> list[FreezeWord]:
    """The newest word of each consent node on a person."""
    query = (
        select(subject_freeze)
        .where(subject_freeze.c.pseudonym == pseudonym)
        .order_by(subject_freeze.c.controller)
    )
    return [
        FreezeWord(row.controller, Freeze(row.state), row.at_ms)
        for row in connection.execute(query)
    ]


def put_freeze(connection: Connection, pseudonym: bytes, word: FreezeWord, leaf_seq: int) -> None:
    """Remember the newest word of a consent node on a person."""
    same = (subject_freeze.c.pseudonym == pseudonym) & (
        subject_freeze.c.controller == word.controller
    )
    connection.execute(delete(subject_freeze).where(same))
    connection.execute(
        insert(subject_freeze).values(
            pseudonym=pseudonym,
            controller=word.controller,
            state=word.state.value,
            at_ms=word.at_ms,
            leaf_seq=leaf_seq,
        )
    )


def frozen_by(connection: Connection, controller: str) -> list[tuple[bytes, int]]:
    """People that `controller` says are frozen, and since when."""
    query = select(subject_freeze.c.pseudonym, subject_freeze.c.at_ms).where(
        subject_freeze.c.controller == controller, subject_freeze.c.state == Freeze.FROZEN.value
    )
    return [(row.pseudonym, row.at_ms) for row in connection.execute(query)]


# -- the consents that name a person to another member


@dataclass(frozen=True, slots=True)
class ConsentParties:
    """A consent of a person, whatever its state, and who is in it."""

    consent_hash: bytes
    state: str
    holders: frozenset[str]
    recipients: frozenset[str]


def consents_of(connection: Connection, pseudonym: bytes, controller: str) -> list[ConsentParties]:
    """The consents of a person that `controller` keeps for them, the newest first."""
    query = (
        select(consent.c.consent_hash, consent.c.state, consent.c.holders, consent.c.recipients)
        .where(consent.c.pseudonym == pseudonym, consent.c.controller == controller)
        .order_by(consent.c.changed_seq.desc())
    )
    return [
        ConsentParties(
            row.consent_hash,
            row.state,
            frozenset(row.holders.split()),
            frozenset(row.recipients.split()),
        )
        for row in connection.execute(query)
    ]


def shared_consents(connection: Connection, pseudonym: bytes, controller: str) -> list[bytes]:
    """Hashes of the consents of a person that `controller` keeps for them, newest first."""
    return [one.consent_hash for one in consents_of(connection, pseudonym, controller)]


# -- reports


def reports(connection: Connection, pseudonym: bytes) -> list[Report]:
    """Reports of a person, the newest first."""
    query = (
        select(credit_report)
        .where(credit_report.c.pseudonym == pseudonym)
        .order_by(credit_report.c.year.desc(), credit_report.c.number.desc())
    )
    return [
        Report(row.year, row.number, row.at_ms, row.leaf_seq) for row in connection.execute(query)
    ]


def report_once(connection: Connection, pseudonym: bytes, key: str) -> Report | None:
    """The report that a form made when it was first sent, or None."""
    query = select(credit_report).where(
        credit_report.c.pseudonym == pseudonym, credit_report.c.once == key
    )
    row = connection.execute(query).first()
    return None if row is None else Report(row.year, row.number, row.at_ms, row.leaf_seq)


def add_report(connection: Connection, pseudonym: bytes, report: Report, key: str | None) -> None:
    """Count a report."""
    connection.execute(
        insert(credit_report).values(
            pseudonym=pseudonym,
            year=report.year,
            number=report.number,
            at_ms=report.at_ms,
            leaf_seq=report.leaf_seq,
            once=key,
        )
    )


# -- corrections


def add_correction(connection: Connection, pseudonym: bytes, one: Correction) -> None:
    """Record what was corrected."""
    connection.execute(
        insert(signal_correction).values(
            pseudonym=pseudonym,
            signal=one.signal,
            as_of_ms=one.as_of_ms,
            old_status=one.old[0],
            old_value=one.old[1],
            new_status=one.new[0],
            new_value=one.new[1],
            request_id=one.request_id,
            at_ms=one.at_ms,
            leaf_seq=one.leaf_seq,
        )
    )


def corrections(
    connection: Connection, pseudonyms: Sequence[bytes] | None = None
) -> dict[bytes, list[Correction]]:
    """Corrections by person, in order; None: of everybody."""
    query = select(signal_correction).order_by(signal_correction.c.correction_id)
    if pseudonyms is not None:
        query = query.where(signal_correction.c.pseudonym.in_(pseudonyms))
    found: dict[bytes, list[Correction]] = {}
    for row in connection.execute(query):
        one = Correction(
            row.signal,
            row.as_of_ms,
            (row.old_status, row.old_value),
            (row.new_status, row.new_value),
            row.request_id,
            row.at_ms,
            row.leaf_seq,
        )
        found.setdefault(row.pseudonym, []).append(one)
    return found


# -- rows


def _first(connection: Connection, condition: Any) -> Request | None:
    query = select(rights_request).where(condition).with_for_update()
    row = connection.execute(query).first()
    return None if row is None else _request(row)


def _request(row: Row[Any]) -> Request:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    values |= {"kind": Kind(row.kind), "state": State(row.state)}
    return Request(**values)
