"""What scores were computed from, sealed, for as long as the consent lets it be kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from sqlalchemy import Select, delete, select

from audit.bulk import BulkInsert
from audit.database import Connection
from node.storage import scores
from node.storage.scoring_tables import score_input
from node.storage.tables import score


@dataclass(frozen=True, slots=True)
class InputRow:
    """The sealed input of one score; `key_id` names the person's data key."""

    score_id: str
    key_id: bytes
    sealed: bytes
    expires_at_ms: int


_INSERT = BulkInsert(score_input)
_values = attrgetter(*InputRow.__slots__)  # `dataclasses.astuple` copies each value, deeply


def add_many(connection: Connection, rows: Sequence[InputRow]) -> None:
    """Store inputs."""
    _INSERT(connection, [_values(row) for row in rows])


def find(connection: Connection, score_id: str, now_ms: int) -> InputRow | None:
    """The live input of a score, or None."""
    query = select(score_input).where(
        score_input.c.score_id == score_id, score_input.c.expires_at_ms > now_ms
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else InputRow(*row)


def delete_by_consent(connection: Connection, consent_id: str) -> int:
    """Delete what was kept under a consent; how many."""
    made = select(score.c.score_id).where(score.c.consent_id == consent_id)
    return _delete_of(connection, made)


def delete_of_person(connection: Connection, pseudonym: bytes) -> int:
    """Delete what was kept about a person; how many."""
    made = select(score.c.score_id).where(scores.of_person(pseudonym))
    return _delete_of(connection, made)


def delete_expired(connection: Connection, now_ms: int) -> int:
    """Delete what has outlived its data life; how many."""
    return connection.execute(
        delete(score_input).where(score_input.c.expires_at_ms <= now_ms)
    ).rowcount


def _delete_of(connection: Connection, made: Select[tuple[str]]) -> int:
    return connection.execute(delete(score_input).where(score_input.c.score_id.in_(made))).rowcount
