"""Reads of the operator's console across tables: what the other repositories have no use for."""

from dataclasses import dataclass

from sqlalchemy import func, select

from audit.database import Connection
from coordinator.storage.campaigns import CampaignRow
from coordinator.storage.ceremonies import CeremonyRow
from coordinator.storage.tables import bundle, campaign, campaign_round, ceremony, ceremony_entry


@dataclass(frozen=True, slots=True)
class BundleHead:
    """A published bundle without its tensors.

    Attributes:
        manifest: the signed body.
        tensor_bytes: size of the tensors.
    """

    version: str
    campaign_id: str
    manifest: bytes
    key_id: str
    tensor_bytes: int
    created_at_ms: int


def campaigns(connection: Connection, limit: int) -> list[CampaignRow]:
    """The campaigns proposed last, the newest first."""
    rows = connection.execute(
        select(campaign)
        .order_by(campaign.c.created_at_ms.desc(), campaign.c.campaign_id)
        .limit(limit)
    )
    return [CampaignRow(**row) for row in rows.mappings()]


def rounds_done(connection: Connection) -> dict[str, int]:
    """How many rounds of each campaign are completed, by campaign id."""
    rows = connection.execute(
        select(campaign_round.c.campaign_id, func.count()).group_by(campaign_round.c.campaign_id)
    )
    return {str(name): int(count) for name, count in rows}


def bundle_heads(connection: Connection, limit: int) -> list[BundleHead]:
    """The bundles published last, the newest first."""
    rows = connection.execute(
        select(
            bundle.c.version,
            bundle.c.campaign_id,
            bundle.c.manifest,
            bundle.c.key_id,
            func.length(bundle.c.tensors),
            bundle.c.created_at_ms,
        )
        .order_by(bundle.c.created_at_ms.desc(), bundle.c.version.desc())
        .limit(limit)
    )
    return [BundleHead(*row) for row in rows]


def ceremonies(connection: Connection, limit: int) -> list[CeremonyRow]:
    """The key ceremonies announced last, the newest first."""
    rows = connection.execute(
        select(ceremony)
        .order_by(ceremony.c.created_at_ms.desc(), ceremony.c.ceremony_id)
        .limit(limit)
    )
    return [CeremonyRow(**row) for row in rows.mappings()]


def entries_posted(connection: Connection, ceremony_id: str) -> dict[str, int]:
    """How many members have posted in each round of a ceremony, by round."""
    rows = connection.execute(
        select(ceremony_entry.c.round, func.count())
        .where(ceremony_entry.c.ceremony_id == ceremony_id)
        .group_by(ceremony_entry.c.round)
    )
    return {str(name): int(count) for name, count in rows}
