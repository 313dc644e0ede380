"""Key ceremonies and their boards as the coordinator keeps them: public values only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from audit.database import Connection
from coordinator.storage.tables import ceremony, ceremony_entry
from protocols.documents import Document


@dataclass(frozen=True)
class CeremonyRow:
    """One ceremony; `plan`, `signature` and `key_id` are the signed announcement.

    Attributes:
        state: see `coordinator.ceremonies.lifecycle`.
        round_ms: how long a round stays open at most.
        deadline_ms: when the open round is closed; 0 before the first.
        detail: why it failed, and who was blamed for what.
        key_version: of the result document; None unless completed.
    """

    ceremony_id: str
    epoch: int
    plan: bytes
    signature: bytes
    key_id: str
    state: str
    round_ms: int
    deadline_ms: int
    detail: str
    key_version: int | None
    created_at_ms: int
    finished_at_ms: int | None

    @property
    def document(self) -> Document:
        """The announcement."""
        return Document("ceremony-plan", 0, self.plan, self.signature, self.key_id)


@dataclass(frozen=True)
class EntryRow:
    """One entry of the board."""

    round: str
    member_id: str
    body: bytes
    signature: bytes


def add(connection: Connection, row: CeremonyRow) -> None:
    """Store a new ceremony."""
    connection.execute(insert(ceremony).values(**row.__dict__))


def find(connection: Connection, ceremony_id: str) -> CeremonyRow | None:
    """The ceremony by that id, or None."""
    rows = connection.execute(select(ceremony).where(ceremony.c.ceremony_id == ceremony_id))
    return _row(rows.mappings().one_or_none())


def newest(connection: Connection) -> CeremonyRow | None:
    """The ceremony announced last, or None."""
    rows = connection.execute(
        select(ceremony).order_by(ceremony.c.created_at_ms.desc(), ceremony.c.ceremony_id).limit(1)
    )
    return _row(rows.mappings().one_or_none())


def move(connection: Connection, ceremony_id: str, **changes: Any) -> None:
    """Change a ceremony; the caller has looked its new state up in the table."""
    connection.execute(
        update(ceremony).where(ceremony.c.ceremony_id == ceremony_id).values(**changes)
    )


def post(connection: Connection, ceremony_id: str, entry: EntryRow, at_ms: int) -> None:
    """Store an entry; one that stands is a primary key violation."""
    connection.execute(
        insert(ceremony_entry).values(ceremony_id=ceremony_id, at_ms=at_ms, **entry.__dict__)
    )


def entries(connection: Connection, ceremony_id: str, round_: str | None = None) -> list[EntryRow]:
    """The entries of a round, or of all rounds, by member id."""
    query = select(
        ceremony_entry.c.round,
        ceremony_entry.c.member_id,
        ceremony_entry.c.body,
        ceremony_entry.c.signature,
    ).where(ceremony_entry.c.ceremony_id == ceremony_id)
    if round_ is not None:
        query = query.where(ceremony_entry.c.round == round_)
    ordered = query.order_by(ceremony_entry.c.round, ceremony_entry.c.member_id)
    return [EntryRow(*row) for row in connection.execute(ordered)]


def _row(values: Mapping[Any, Any] | None) -> CeremonyRow | None:
    return CeremonyRow(**values) if values is not None else None
