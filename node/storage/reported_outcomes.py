"""Outcomes that clients reported, and the labels that follow from them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, insert, select

from audit.database import Connection
from node.storage.outcome_tables import reported_outcome
from node.storage.tables import subject


@dataclass(frozen=True, slots=True)
class Reported:
    """One version of what became of one score.

    Attributes:
        outcome_id: the same for all versions.
        version: from 1.
        label: 1: default, 0: none; None: it teaches nothing.
        as_of_ms: the day that it describes.
        pd: that the score gave; None: it gave none.
        model: version that the score was made with.
    """

    outcome_id: str
    version: int
    score_id: str
    client_id: str
    subject_ref: str
    outcome: str
    label: int | None
    as_of_ms: int
    reported_at_ms: int
    scored_at_ms: int
    pd: float | None
    model: str
    leaf_seq: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Label:
    """What reported outcomes teach about one person."""

    pseudonym: bytes
    label: int
    observed_at_ms: int


def add(connection: Connection, one: Reported) -> None:
    """Store a version."""
    names = [name for name in Reported.__slots__ if name != "seq"]
    connection.execute(
        insert(reported_outcome).values({name: getattr(one, name) for name in names})
    )


def newest_of_score(connection: Connection, score_id: str) -> Reported | None:
    """The newest version of what became of a score, or None."""
    query = select(reported_outcome).where(reported_outcome.c.score_id == score_id)
    row = connection.execute(query.order_by(reported_outcome.c.version.desc()).limit(1)).first()
    return None if row is None else _row(row)


def versions(connection: Connection, outcome_id: str) -> list[Reported]:
    """All versions of one outcome, the oldest first."""
    query = select(reported_outcome).where(reported_outcome.c.outcome_id == outcome_id)
    return [_row(row) for row in connection.execute(query.order_by(reported_outcome.c.version))]


def newest(connection: Connection, from_ms: int) -> list[Reported]:
    """The newest version of each outcome of scores given since `from_ms`."""
    query = _newest().where(reported_outcome.c.scored_at_ms >= from_ms)
    return [_row(row) for row in connection.execute(query.order_by(reported_outcome.c.seq))]


def labels(connection: Connection, pseudonym: bytes | None = None) -> dict[bytes, Label]:
    """What is taught about each person that this node knows: by the newest as-of day.

    Of two outcomes of one day a default counts. A version that was corrected teaches nothing.
    """
    query = (
        _newest()
        .join(subject, subject.c.subject_ref == reported_outcome.c.subject_ref)
        .where(reported_outcome.c.label.is_not(None))
        .with_only_columns(
            subject.c.pseudonym, reported_outcome.c.label, reported_outcome.c.as_of_ms
        )
        .order_by(reported_outcome.c.as_of_ms, reported_outcome.c.label)
    )
    if pseudonym is not None:
        query = query.where(subject.c.pseudonym == pseudonym)
    rows: Iterable[Any] = connection.execute(query)
    return {row.pseudonym: Label(row.pseudonym, row.label, row.as_of_ms) for row in rows}


def mark(connection: Connection) -> int:
    """A number that grows with every version and changes with a deletion."""
    query = select(func.count(), func.max(reported_outcome.c.seq))
    count, last = connection.execute(query).one()
    return int(count) + 2**32 * int(last or 0)


def delete_of_refs(connection: Connection, subject_refs: Select[tuple[str]]) -> None:
    """Delete what was reported about people."""
    connection.execute(
        delete(reported_outcome).where(reported_outcome.c.subject_ref.in_(subject_refs))
    )


def _newest() -> Select[Any]:
    last = (
        select(reported_outcome.c.score_id, func.max(reported_outcome.c.version).label("last"))
        .group_by(reported_outcome.c.score_id)
        .subquery()
    )
    return select(reported_outcome).join(
        last,
        (last.c.score_id == reported_outcome.c.score_id)
        & (last.c.last == reported_outcome.c.version),
    )


def _row(row: Any) -> Reported:
    return Reported(**{name: getattr(row, name) for name in Reported.__slots__})
