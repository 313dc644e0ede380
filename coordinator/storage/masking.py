"""What the members of a campaign agreed their masks with, so that a killed process goes on."""

from dataclasses import asdict, dataclass

from sqlalchemy import insert, select, update

from audit.database import Connection
from coordinator.storage.tables import campaign_masking


@dataclass(frozen=True, slots=True)
class MaskingRow:
    """Signed messages of the agreement, joined; empty bytes for what is not fixed yet."""

    announcements: bytes = b""
    reveals: bytes = b""
    deals: bytes = b""


def load(connection: Connection, campaign_id: str) -> MaskingRow:
    """As far as the agreement had come."""
    row = connection.execute(
        select(
            campaign_masking.c.announcements, campaign_masking.c.reveals, campaign_masking.c.deals
        ).where(campaign_masking.c.campaign_id == campaign_id)
    ).one_or_none()
    return MaskingRow() if row is None else MaskingRow(*row)


def save(connection: Connection, campaign_id: str, row: MaskingRow) -> None:
    """Keep how far it has come."""
    changed = connection.execute(
        update(campaign_masking)
        .where(campaign_masking.c.campaign_id == campaign_id)
        .values(**asdict(row))
    )
    if not changed.rowcount:
        connection.execute(insert(campaign_masking).values(campaign_id=campaign_id, **asdict(row)))
