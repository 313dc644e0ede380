"""Legal holds, and the deletion of what is due and not held. All in the caller's transaction."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, func, insert, or_, select, update

from audit.database import Connection
from node.retention.schedule import Action, RecordClass
from node.storage.retention_tables import legal_hold, retention_run
from node.storage.rights_tables import credit_report, rights_request, signal_correction
from node.storage.signals import OWN
from node.storage.tables import outcome, score, signal_vector, subject
from protocols.errors import NotFound, StateConflict


class HoldUnknown(NotFound):
    """There is no legal hold by that id."""

    code = "legal_hold_unknown"
    next_step = "See `credence node retention show HOME`."


class HoldReleased(StateConflict):
    """The legal hold was released already."""

    code = "legal_hold_released"


@dataclass(frozen=True, slots=True)
class Hold:
    """One legal hold; fields as the columns of `legal_hold`."""

    hold_id: str
    pseudonym: bytes | None
    record_class: str
    authority: str
    placed_by: str
    placed_at_ms: int
    released_by: str = ""
    released_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run: class of record -> (acted on, held back)."""

    run_id: str
    actor: str
    at_ms: int
    counts: Mapping[str, tuple[int, int]]


# Class -> table, the time its period is counted from, and further conditions.
_DATED: Mapping[RecordClass, tuple[Table, ColumnElement[Any], ColumnElement[bool] | None]] = {
    RecordClass.OUTCOME: (outcome, outcome.c.observed_at_ms, None),
    RecordClass.OWN_SIGNALS: (
        signal_vector, signal_vector.c.as_of_ms, signal_vector.c.purpose == OWN,
    ),
    RecordClass.SCORE: (score, score.c.at_ms, None),
    RecordClass.REQUEST_TEXT: (
        rights_request,
        rights_request.c.ended_at_ms,
        or_(*(rights_request.c[one] != "" for one in ("text", "statement", "proposal", "outcome"))),
    ),
    RecordClass.CORRECTION: (signal_correction, signal_correction.c.at_ms, None),
    RecordClass.REPORT: (credit_report, credit_report.c.at_ms, None),
}  # fmt: skip

IN_DATABASE = frozenset(_DATED)
"""Classes that stand in tables; the others are files of records."""


def act(
    connection: Connection, record_class: RecordClass, action: Action, until_ms: int
) -> tuple[int, int]:
    """Delete or clear what a class has from before a time and no hold keeps; (done, held back)."""
    table, due, free = _conditions(record_class, until_ms)
    whole = _count(connection, table, due)
    if not whole:
        return 0, 0
    if action is Action.CLEAR:
        empty = {"text": "", "statement": "", "proposal": "", "outcome": ""}
        done = connection.execute(update(table).where(due, free).values(empty)).rowcount
    else:
        done = connection.execute(delete(table).where(due, free)).rowcount
    return done, whole - done


def due(connection: Connection, record_class: RecordClass, until_ms: int) -> tuple[int, int]:
    """What `act` would come to, nothing changed."""
    table, wanted, free = _conditions(record_class, until_ms)
    whole = _count(connection, table, wanted)
    going = _count(connection, table, and_(wanted, free))
    return going, whole - going


def add_hold(connection: Connection, hold: Hold) -> None:
    """Store a new hold."""
    values = {one: getattr(hold, one) for one in Hold.__dataclass_fields__}
    connection.execute(insert(legal_hold).values(**values))


def release(connection: Connection, hold_id: str, actor: str, at_ms: int) -> Hold:
    """End a hold.

    Raises:
        HoldUnknown: there is none by that id.
        HoldReleased: it ended before.
    """
    query = select(legal_hold).where(legal_hold.c.hold_id == hold_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise HoldUnknown("no legal hold by that id")
    if row["released_at_ms"] is not None:
        raise HoldReleased("this legal hold was released already")
    connection.execute(
        update(legal_hold)
        .where(legal_hold.c.hold_id == hold_id)
        .values(released_by=actor, released_at_ms=at_ms)
    )
    return Hold(**row)


def holds(connection: Connection, *, released: bool = True) -> list[Hold]:
    """Holds, the newest first; with `released` those too that have ended."""
    query = select(legal_hold).order_by(legal_hold.c.placed_at_ms.desc(), legal_hold.c.hold_id)
    if not released:
        query = query.where(legal_hold.c.released_at_ms.is_(None))
    return [Hold(**row) for row in connection.execute(query).mappings()]


def is_held(connection: Connection, pseudonym: bytes) -> bool:
    """Whether a hold keeps anything of a person."""
    query = select(legal_hold.c.hold_id).where(
        legal_hold.c.released_at_ms.is_(None),
        or_(legal_hold.c.pseudonym == pseudonym, legal_hold.c.pseudonym.is_(None)),
    )
    return connection.execute(query.limit(1)).first() is not None


def held_customers(connection: Connection, record_class: RecordClass) -> set[str] | None:
    """Customer numbers whose records of a class are held; None: everybody's are."""
    if connection.execute(_everybody(record_class)).first() is not None:
        return None
    query = select(subject.c.customer_id).where(subject.c.pseudonym.in_(_people(record_class)))
    return set(connection.execute(query).scalars())


def add_run(connection: Connection, run: RunRow) -> None:
    """Note a run."""
    counts = {name: list(pair) for name, pair in run.counts.items()}
    connection.execute(
        insert(retention_run).values(
            run_id=run.run_id, actor=run.actor, at_ms=run.at_ms, counts=json.dumps(counts)
        )
    )


def runs(connection: Connection, limit: int = 60) -> list[RunRow]:
    """Runs, the newest first."""
    query = select(retention_run).order_by(retention_run.c.at_ms.desc()).limit(limit)
    return [
        RunRow(
            row.run_id,
            row.actor,
            row.at_ms,
            {name: (pair[0], pair[1]) for name, pair in json.loads(row.counts).items()},
        )
        for row in connection.execute(query)
    ]


def not_held_scores() -> ColumnElement[bool]:
    """Scores that no hold keeps, for whoever deletes them for another reason."""
    return _free(RecordClass.SCORE, score)


def _conditions(
    record_class: RecordClass, until_ms: int
) -> tuple[Table, ColumnElement[bool], ColumnElement[bool]]:
    table, at, more = _DATED[record_class]
    wanted = and_(at.is_not(None), at < until_ms)
    if more is not None:
        wanted = and_(wanted, more)
    return table, wanted, _free(record_class, table)


def _free(record_class: RecordClass, table: Table) -> ColumnElement[bool]:
    held = _people(record_class)
    if table is score:
        references = select(subject.c.subject_ref).where(subject.c.pseudonym.in_(held))
        of_held = score.c.subject_ref.in_(references)
    else:
        of_held = table.c.pseudonym.in_(held)
    return and_(~_everybody(record_class).exists(), ~of_held)


def _everybody(record_class: RecordClass) -> Any:
    return select(legal_hold.c.hold_id).where(
        *_standing(record_class), legal_hold.c.pseudonym.is_(None)
    )


def _people(record_class: RecordClass) -> Any:
    return select(legal_hold.c.pseudonym).where(
        *_standing(record_class), legal_hold.c.pseudonym.is_not(None)
    )


def _standing(record_class: RecordClass) -> tuple[ColumnElement[bool], ...]:
    return (
        legal_hold.c.released_at_ms.is_(None),
        legal_hold.c.record_class.in_(("", record_class.value)),
    )


def _count(connection: Connection, table: Table, wanted: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(table).where(wanted)
    return int(connection.execute(query).scalar_one())
