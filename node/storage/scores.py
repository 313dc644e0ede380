"""Scores that were given out, as they were given."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, select, update

from audit.bulk import BulkInsert, SelectByKeys
from audit.database import Connection
from node.storage.tables import consent, score, subject


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


_INSERT = BulkInsert(score)
_UNDER_KEYS = SelectByKeys(
    lambda keys: select(score).where(
        score.c.client_id == bindparam("one_client"), score.c.idempotency_key.in_(keys)
    )
)


def add_many(connection: Connection, rows: Sequence[ScoreRow]) -> None:
    """Store scores; a second one under one client's key is a constraint violation."""
    names = score.columns.keys()
    _INSERT(connection, [tuple(getattr(row, name) for name in names) for row in rows])


def find(connection: Connection, score_id: str) -> ScoreRow | None:
    """The score by that id, or None."""
    return _one(connection, score.c.score_id == score_id)


def newest_of(connection: Connection, subject_ref: str, limit: int) -> list[ScoreRow]:
    """Up to `limit` scores of one person, the newest first."""
    granted = (
        select(consent.c.consent_id)
        .join(subject, subject.c.pseudonym == consent.c.pseudonym)
        .where(subject.c.subject_ref == subject_ref)
    )
    query = select(score).where(score.c.consent_id.in_(granted))
    rows = connection.execute(query.order_by(score.c.at_ms.desc()).limit(limit))
    return [_row(row) for row in rows.mappings()]


def between(connection: Connection, from_ms: int, until_ms: int) -> Iterator[tuple[str, str]]:
    """Person and result of the scores given in a span of time, the oldest first."""
    rows = connection.execute(
        select(score.c.subject_ref, score.c.result)
        .where(score.c.at_ms >= from_ms, score.c.at_ms < until_ms)
        .order_by(score.c.at_ms)
    )
    return ((str(row[0]), str(row[1])) for row in rows)


def under_keys(
    connection: Connection, asked: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], ScoreRow]:
    """The scores given under keys, by client and key; `asked` are pairs of client and key."""
    keys: dict[str, set[str]] = {}
    for client_id, key in asked:
        keys.setdefault(client_id, set()).add(key)
    found: dict[tuple[str, str], ScoreRow] = {}
    for client_id, wanted in keys.items():
        for row in _UNDER_KEYS(connection, sorted(wanted), one_client=client_id):
            one = ScoreRow(*row)
            found[client_id, one.idempotency_key or ""] = one
    return found


def of_person(pseudonym: bytes) -> ColumnElement[bool]:
    """The condition that a score is about a person, whether this node still knows them or not."""
    granted = select(consent.c.consent_id).where(consent.c.pseudonym == pseudonym)
    return score.c.consent_id.in_(granted)


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
