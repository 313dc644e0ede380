"""Invitations: one row each, the token only as its SHA-256."""

from dataclasses import dataclass

from sqlalchemy import insert, select, update

from audit.database import Connection
from coordinator.storage.tables import invitation


@dataclass(frozen=True)
class InvitationRow:
    """One invitation as stored; `used_at_ms` is None until a node joined with it."""

    invitation_id: str
    token_sha256: bytes
    member_id: str
    role: str
    expires_at_ms: int
    used_at_ms: int | None = None
    licence_until_ms: int | None = None


def add(connection: Connection, row: InvitationRow) -> None:
    """Store a new invitation."""
    connection.execute(insert(invitation).values(**row.__dict__))


def find(connection: Connection, invitation_id: str) -> InvitationRow | None:
    """The invitation by that id, or None."""
    query = select(invitation).where(invitation.c.invitation_id == invitation_id)
    row = connection.execute(query).mappings().one_or_none()
    return InvitationRow(**row) if row is not None else None


def mark_used(connection: Connection, invitation_id: str, at_ms: int) -> bool:
    """Spend the invitation; False when it was spent already."""
    changed = connection.execute(
        update(invitation)
        .where(invitation.c.invitation_id == invitation_id, invitation.c.used_at_ms.is_(None))
        .values(used_at_ms=at_ms)
    )
    return changed.rowcount == 1


def pending(connection: Connection, now_ms: int) -> list[InvitationRow]:
    """Invitations that may still be used, the soonest to expire first."""
    rows = connection.execute(
        select(invitation)
        .where(invitation.c.used_at_ms.is_(None), invitation.c.expires_at_ms > now_ms)
        .order_by(invitation.c.expires_at_ms)
    )
    return [InvitationRow(**row) for row in rows.mappings()]
