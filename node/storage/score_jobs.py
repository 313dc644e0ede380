"""Jobs of scores that are made later, and their lines."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from audit.bulk import BulkInsert
from audit.database import Connection
from node.storage.scoring_tables import score_job, score_job_line


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job; fields as the columns of `score_job`."""

    job_id: str
    client_id: str
    kind: str
    state: str
    purpose: str
    product: str
    language: str
    total: int
    scored: int
    refused: int
    created_at_ms: int
    deadline_at_ms: int
    ended_at_ms: int | None
    idempotency_key: str | None
    request_sha256: bytes


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line; `score_id` and `code` are both None while it is to be scored."""

    job_id: str
    line: int
    subject_ref: str
    consent_id: str
    score_id: str | None = None
    code: str | None = None

    @property
    def open(self) -> bool:
        """Whether it is still to be scored."""
        return self.score_id is None and self.code is None


_INSERT_LINES = BulkInsert(score_job_line)
_OPEN = score_job_line.c.score_id.is_(None) & score_job_line.c.code.is_(None)


def add(connection: Connection, row: JobRow) -> None:
    """Store a new job; a second one under one client's key is a constraint violation."""
    values = dict(zip(JobRow.__slots__, astuple(row), strict=True))
    connection.execute(insert(score_job).values(**values))


def add_lines(connection: Connection, rows: Sequence[LineRow]) -> None:
    """Store lines."""
    _INSERT_LINES(connection, [astuple(row) for row in rows])


def find(connection: Connection, job_id: str) -> JobRow | None:
    """The job by that id, or None."""
    row = connection.execute(select(score_job).where(score_job.c.job_id == job_id)).one_or_none()
    return None if row is None else JobRow(*row)


def under_key(connection: Connection, client_id: str, key: str) -> JobRow | None:
    """The job that a client began under that key, or None."""
    query = select(score_job).where(
        score_job.c.client_id == client_id, score_job.c.idempotency_key == key
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else JobRow(*row)


def in_state(connection: Connection, state: str, limit: int = 10_000) -> list[JobRow]:
    """Jobs in a state: requests before batches, the oldest first."""
    query = (
        select(score_job)
        .where(score_job.c.state == state)
        .order_by(score_job.c.kind.desc(), score_job.c.created_at_ms, score_job.c.job_id)
        .limit(limit)
    )
    return [JobRow(*row) for row in connection.execute(query)]


def count(connection: Connection, client_id: str, kind: str, states: Sequence[str]) -> int:
    """How many jobs of a kind a client has in some states."""
    query = select(func.count()).where(
        score_job.c.client_id == client_id, score_job.c.kind == kind, score_job.c.state.in_(states)
    )
    return int(connection.execute(query).scalar_one())


def change(connection: Connection, job_id: str, was: str, **values: Any) -> bool:
    """Change a job that is in the state `was`; whether it was."""
    changed = update(score_job).where(score_job.c.job_id == job_id, score_job.c.state == was)
    return bool(connection.execute(changed.values(**values)).rowcount)


def open_lines(connection: Connection, job_id: str, since: int, limit: int) -> list[LineRow]:
    """Lines from number `since` on that are still to be scored, in order."""
    query = (
        select(score_job_line)
        .where(score_job_line.c.job_id == job_id, score_job_line.c.line >= since, _OPEN)
        .order_by(score_job_line.c.line)
        .limit(limit)
    )
    return [LineRow(*row) for row in connection.execute(query)]


def lines_after(connection: Connection, job_id: str, line: int, limit: int) -> list[LineRow]:
    """Lines after number `line`, in order."""
    query = (
        select(score_job_line)
        .where(score_job_line.c.job_id == job_id, score_job_line.c.line > line)
        .order_by(score_job_line.c.line)
        .limit(limit)
    )
    return [LineRow(*row) for row in connection.execute(query)]


def end_line(
    connection: Connection, job_id: str, line: int, score_id: str | None, code: str | None
) -> None:
    """Note what became of an open line, and count it; one that ended before stays as it is."""
    ended = connection.execute(
        update(score_job_line)
        .where(score_job_line.c.job_id == job_id, score_job_line.c.line == line, _OPEN)
        .values(score_id=score_id, code=code)
    ).rowcount
    if ended:
        counter = score_job.c.scored if score_id is not None else score_job.c.refused
        connection.execute(
            update(score_job).where(score_job.c.job_id == job_id).values({counter: counter + 1})
        )


def drop(connection: Connection, job_ids: Sequence[str]) -> None:
    """Delete jobs and their lines."""
    for table in (score_job_line, score_job):
        connection.execute(delete(table).where(table.c.job_id.in_(job_ids)))


def over(connection: Connection, receiving_before_ms: int, ended_before_ms: int) -> list[str]:
    """Jobs whose lines stopped coming, and those that ended long ago."""
    query = select(score_job.c.job_id).where(
        ((score_job.c.state == "receiving") & (score_job.c.created_at_ms < receiving_before_ms))
        | (score_job.c.ended_at_ms < ended_before_ms)
    )
    return [str(one) for one in connection.execute(query).scalars()]
