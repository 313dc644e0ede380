"""What must outlive a training worker of its part in secure aggregation."""

from dataclasses import asdict, dataclass, fields

from sqlalchemy import delete, insert, select, update

from audit.database import Connection
from node.storage.masking_tables import masking_campaign, masking_view


@dataclass(frozen=True, slots=True)
class MaskingRow:
    """One campaign's masks; empty bytes for what is not fixed yet."""

    campaign_id: str
    plan_sha256: bytes
    secret: bytes
    announcements: bytes
    reveals: bytes
    deals: bytes
    dealers: bytes
    at_ms: int


_CAMPAIGN = [masking_campaign.c[item.name] for item in fields(MaskingRow)]


def find(connection: Connection, campaign_id: str) -> MaskingRow | None:
    """The masks of a campaign, or None."""
    row = connection.execute(
        select(*_CAMPAIGN).where(masking_campaign.c.campaign_id == campaign_id)
    ).one_or_none()
    return None if row is None else MaskingRow(*row)


def begin(connection: Connection, row: MaskingRow) -> None:
    """Store a new campaign's secret and forget those of all others."""
    connection.execute(
        delete(masking_campaign).where(masking_campaign.c.campaign_id != row.campaign_id)
    )
    connection.execute(insert(masking_campaign).values(**asdict(row)))


def fix(connection: Connection, campaign_id: str, **values: bytes) -> None:
    """Keep what is fixed now."""
    connection.execute(
        update(masking_campaign)
        .where(masking_campaign.c.campaign_id == campaign_id)
        .values(**values)
    )


def find_view(connection: Connection, campaign_id: str, round_: int) -> bytes | None:
    """The body of the view that was signed of a round, or None."""
    found = connection.execute(
        select(masking_view.c.body).where(
            masking_view.c.campaign_id == campaign_id, masking_view.c.round == round_
        )
    ).scalar_one_or_none()
    return None if found is None else bytes(found)


def add_view(
    connection: Connection, campaign_id: str, round_: int, body: bytes, at_ms: int
) -> None:
    """Keep a round's view; a second one is a primary key violation."""
    connection.execute(
        insert(masking_view).values(campaign_id=campaign_id, round=round_, body=body, at_ms=at_ms)
    )
