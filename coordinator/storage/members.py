"""Members as the coordinator keeps them: the stated entry, the certificate, the grid's number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from audit.database import Connection
from coordinator.storage.tables import member


@dataclass(frozen=True)
class MemberRow:
    """One member.

    Attributes:
        entry: canonical JSON of the member's directory entry at joining.
        flower_node_id: this member's number on the training grid, 1..2**63-1, never re-used.
        last_seen_at_ms: last authenticated call, rounded to a few seconds; None: never.
    """

    member_id: str
    entry: str
    certificate_der: bytes
    flower_node_id: int
    joined_at_ms: int
    last_seen_at_ms: int | None = None


def add(connection: Connection, row: MemberRow) -> None:
    """Store a new member."""
    connection.execute(insert(member).values(**row.__dict__))


def find(connection: Connection, member_id: str) -> MemberRow | None:
    """The member by that id, or None."""
    found = connection.execute(select(member).where(member.c.member_id == member_id)).mappings()
    row = found.one_or_none()
    return _row(row) if row is not None else None


def every(connection: Connection) -> list[MemberRow]:
    """All members in the order they joined."""
    rows = connection.execute(select(member).order_by(member.c.joined_at_ms, member.c.member_id))
    return [_row(row) for row in rows.mappings()]


def touch(connection: Connection, seen: Mapping[str, int]) -> None:
    """Note when members were last seen (`{member id: at_ms}`)."""
    for member_id, at_ms in seen.items():
        connection.execute(
            update(member).where(member.c.member_id == member_id).values(last_seen_at_ms=at_ms)
        )


def _row(values: Mapping[Any, Any]) -> MemberRow:
    return MemberRow(**values)
