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
        acknowledged_version: the directory version that the member last said it holds; 0: none.
    """

    member_id: str
    entry: str
    certificate_der: bytes
    flower_node_id: int
    joined_at_ms: int
    last_seen_at_ms: int | None = None
    acknowledged_version: int = 0


@dataclass(frozen=True)
class Sighting:
    """A call of a member: when, and which directory version it said it holds (0: none)."""

    at_ms: int
    version: int = 0


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


def certificate(connection: Connection, member_id: str) -> bytes:
    """The certificate last issued to a member that exists, DER."""
    query = select(member.c.certificate_der).where(member.c.member_id == member_id)
    return bytes(connection.execute(query).scalar_one())


def set_certificate(connection: Connection, member_id: str, certificate_der: bytes) -> None:
    """Keep the certificate last issued to a member."""
    connection.execute(
        update(member)
        .where(member.c.member_id == member_id)
        .values(certificate_der=certificate_der)
    )


def touch(connection: Connection, seen: Mapping[str, Sighting]) -> None:
    """Note when members were last seen, and with which directory (`{member id: sighting}`)."""
    for member_id, sighting in seen.items():
        values: dict[str, int] = {"last_seen_at_ms": sighting.at_ms}
        if sighting.version:
            values["acknowledged_version"] = sighting.version
        connection.execute(update(member).where(member.c.member_id == member_id).values(**values))


def _row(values: Mapping[Any, Any]) -> MemberRow:
    return MemberRow(**values)
