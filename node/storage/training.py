"""What training at this node leaves behind: answers to plans, cohorts, rounds, newest results."""

from dataclasses import asdict, dataclass, fields

from sqlalchemy import delete, func, insert, select

from audit.database import Connection
from node.storage.tables import (
    cohort,
    privacy_charge,
    training_campaign,
    training_reply,
    training_round,
)


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """This node's answer to a plan; `cohort_band` is noised, `refusal` a code or empty."""

    campaign_id: str
    plan_sha256: bytes
    plan: bytes
    cohort_band: int
    refusal: str
    at_ms: int
    leaf_seq: int


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """The newest noised result of a campaign: `result` int64 little-endian."""

    campaign_id: str
    round: int
    model_hash: bytes
    result: bytes
    epsilon: float


_CAMPAIGN = [training_campaign.c[item.name] for item in fields(CampaignRow)]
_REPLY = [training_reply.c[item.name] for item in fields(ReplyRow)]


def find_campaign(connection: Connection, campaign_id: str) -> CampaignRow | None:
    """This node's answer to a campaign, or None."""
    row = connection.execute(
        select(*_CAMPAIGN).where(training_campaign.c.campaign_id == campaign_id)
    ).one_or_none()
    return None if row is None else CampaignRow(*row)


def add_campaign(connection: Connection, row: CampaignRow) -> None:
    """Store this node's answer to a campaign; there is one."""
    connection.execute(insert(training_campaign).values(**asdict(row)))


def keep_cohort(connection: Connection, root: bytes, hashes: bytes, at_ms: int) -> None:
    """Store a cohort by the Merkle root of its sorted consent hashes, once."""
    known = connection.execute(select(cohort.c.root).where(cohort.c.root == root)).one_or_none()
    if known is None:
        size = len(hashes) // 32
        connection.execute(
            insert(cohort).values(root=root, size=size, consent_hashes=hashes, at_ms=at_ms)
        )


def cohort_hashes(connection: Connection, root: bytes) -> list[bytes]:
    """The consent hashes of a stored cohort, sorted."""
    joined = connection.execute(
        select(cohort.c.consent_hashes).where(cohort.c.root == root)
    ).scalar_one()
    return [joined[start : start + 32] for start in range(0, len(joined), 32)]


def last_round(connection: Connection, campaign_id: str) -> int | None:
    """The highest round done in a campaign, or None before the first."""
    found = connection.execute(
        select(func.max(training_round.c.round)).where(training_round.c.campaign_id == campaign_id)
    ).scalar_one()
    return None if found is None else int(found)


def add_round(
    connection: Connection,
    campaign_id: str,
    round_: int,
    *,
    cohort_root: bytes,
    model_hash: bytes,
    at_ms: int,
    leaf_seq: int,
) -> None:
    """Store a round; a second one under the same number is a primary key violation."""
    connection.execute(
        insert(training_round).values(
            campaign_id=campaign_id,
            round=round_,
            cohort_root=cohort_root,
            model_hash=model_hash,
            at_ms=at_ms,
            leaf_seq=leaf_seq,
        )
    )


def round_roots(connection: Connection, campaign_id: str) -> list[tuple[int, bytes]]:
    """Round number and cohort root of every round of a campaign."""
    rows = connection.execute(
        select(training_round.c.round, training_round.c.cohort_root)
        .where(training_round.c.campaign_id == campaign_id)
        .order_by(training_round.c.round)
    )
    return [(int(row[0]), bytes(row[1])) for row in rows]


def charges_after(connection: Connection, seq: int) -> list[int]:
    """Leaves of all mechanisms that ran on people here after leaf `seq`, in order."""
    query = select(privacy_charge.c.leaf_seq).where(privacy_charge.c.leaf_seq > seq)
    return list(connection.execute(query.order_by(privacy_charge.c.leaf_seq)).scalars())


def find_reply(connection: Connection, campaign_id: str) -> ReplyRow | None:
    """The newest noised result of a campaign, or None."""
    row = connection.execute(
        select(*_REPLY).where(training_reply.c.campaign_id == campaign_id)
    ).one_or_none()
    return None if row is None else ReplyRow(*row)


def keep_reply(connection: Connection, row: ReplyRow) -> None:
    """Replace the newest noised result of a campaign."""
    connection.execute(
        delete(training_reply).where(training_reply.c.campaign_id == row.campaign_id)
    )
    connection.execute(insert(training_reply).values(**asdict(row)))
