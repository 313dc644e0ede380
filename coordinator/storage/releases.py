"""Moves of model versions, and what members say they score with."""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from audit.database import Connection
from coordinator.storage.release_tables import member_model, model_move
from coordinator.storage.tables import bundle


@dataclass(frozen=True, slots=True)
class MoveRow:
    """One move of one version.

    Attributes:
        serial: of the release that first says so.
        event, before, after: see `coordinator.releases.TRANSITIONS`.
        who, why: as whoever moved it said; may be empty.
    """

    serial: int
    version: str
    event: str
    before: str
    after: str
    who: str
    why: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class RunningRow:
    """What a member says it scores with; empty: with nothing."""

    member_id: str
    version: str
    serial: int
    since_ms: int


def add(connection: Connection, row: MoveRow) -> None:
    """Store a move; moves are never changed."""
    values = {name: getattr(row, name) for name in MoveRow.__slots__}
    connection.execute(insert(model_move).values(**values))


def moves(connection: Connection) -> list[MoveRow]:
    """All moves, the oldest first."""
    columns = [model_move.c[name] for name in MoveRow.__slots__]
    rows = connection.execute(select(*columns).order_by(model_move.c.move_id))
    return [MoveRow(*row) for row in rows]


def manifests(connection: Connection) -> dict[str, bytes]:
    """Every published version's signed manifest, the oldest first."""
    rows = connection.execute(
        select(bundle.c.version, bundle.c.manifest).order_by(
            bundle.c.created_at_ms, bundle.c.version
        )
    )
    return {str(version): bytes(manifest) for version, manifest in rows}


def running(connection: Connection) -> dict[str, RunningRow]:
    """What members say they score with, by member id."""
    columns = [member_model.c[name] for name in RunningRow.__slots__]
    rows = connection.execute(select(*columns).order_by(member_model.c.member_id))
    return {row[0]: RunningRow(*row) for row in rows}


def set_running(connection: Connection, row: RunningRow) -> None:
    """Keep what a member says, in place of what it said before."""
    connection.execute(delete(member_model).where(member_model.c.member_id == row.member_id))
    values = {name: getattr(row, name) for name in RunningRow.__slots__}
    connection.execute(insert(member_model).values(**values))
