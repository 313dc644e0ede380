"""Scores that were given out, as they were given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from audit.database import Connection
from node.storage.tables import score


@dataclass(frozen=True)
class ScoreRow:
    """One score.

    Attributes:
        result: the API's answer, JSON.
        leaf_seq: its leaf in the audit log.
        idempotency_key: the client's key for the call, while repeats are recognised.
        request_sha256: what was asked, 32 bytes.
    """

    score_id: str
    subject_ref: str
    consent_id: str
    client_id: str
    purpose: str
    result: str
    at_ms: int
    leaf_seq: int
    idempotency_key: str | None
    request_sha256: bytes


# Built once: on this path the statement costs more to build than to run.
_INSERT = insert(score)


def add(connection: Connection, row: ScoreRow) -> None:
    """Store a score; a second one under one client's key is a constraint violation."""
    connection.execute(_INSERT, row.__dict__)


def find(connection: Connection, score_id: str) -> ScoreRow | None:
    """The score by that id, or None."""
    return _one(connection, score.c.score_id == score_id)


def newest_of(connection: Connection, subject_ref: str, limit: int) -> list[ScoreRow]:
    """Up to `limit` scores of one person, the newest first."""
    query = select(score).where(score.c.subject_ref == subject_ref)
    rows = connection.execute(query.order_by(score.c.at_ms.desc()).limit(limit))
    return [_row(row) for row in rows.mappings()]


def under_key(connection: Connection, client_id: str, idempotency_key: str) -> ScoreRow | None:
    """The score that a client was given under that key, or None."""
    return _one(
        connection,
        (score.c.client_id == client_id) & (score.c.idempotency_key == idempotency_key),
    )


def free_key(connection: Connection, client_id: str, idempotency_key: str) -> None:
    """Forget which score a client's key stands for: its time is over, it may stand for another."""
    connection.execute(
        update(score)
        .where(score.c.client_id == client_id, score.c.idempotency_key == idempotency_key)
        .values(idempotency_key=None)
    )


def _one(connection: Connection, condition: Any) -> ScoreRow | None:
    row = connection.execute(select(score).where(condition)).mappings().one_or_none()
    return _row(row) if row is not None else None


def _row(values: Mapping[Any, Any]) -> ScoreRow:
    return ScoreRow(**values)
