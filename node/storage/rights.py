"""Requests about people's rights and what happened to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, case, delete, func, insert, select, update

from audit.database import Connection
from consent.rights import Event, Kind, State
from node.storage.rights_tables import rights_event, rights_request, signal_correction
from node.storage.tables import subject


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


OPENED = "open"


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


def _first(connection: Connection, condition: Any) -> Request | None:
    query = select(rights_request).where(condition).with_for_update()
    row = connection.execute(query).first()
    return None if row is None else _request(row)


def _request(row: Row[Any]) -> Request:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    values |= {"kind": Kind(row.kind), "state": State(row.state)}
    return Request(**values)
