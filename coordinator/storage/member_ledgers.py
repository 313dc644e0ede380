"""The newest statement of its privacy ledger that each member sent."""

from sqlalchemy import insert, select, update

from audit.database import Connection
from coordinator.storage.tables import member_ledger


def find(connection: Connection, member_id: str) -> tuple[int, bytes] | None:
    """How many charges a member's newest statement counts, and the statement; or None."""
    row = connection.execute(
        select(member_ledger.c.charges, member_ledger.c.statement).where(
            member_ledger.c.member_id == member_id
        )
    ).one_or_none()
    return None if row is None else (int(row[0]), bytes(row[1]))


def keep(
    connection: Connection, member_id: str, charges: int, statement: bytes, at_ms: int
) -> None:
    """Replace a member's statement."""
    values = {"charges": charges, "statement": statement, "at_ms": at_ms}
    changed = connection.execute(
        update(member_ledger).where(member_ledger.c.member_id == member_id).values(**values)
    )
    if not changed.rowcount:
        connection.execute(insert(member_ledger).values(member_id=member_id, **values))
