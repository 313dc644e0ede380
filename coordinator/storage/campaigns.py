"""Campaigns, their members, rounds and checkpoints as the coordinator keeps them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from audit.database import Connection
from coordinator.storage.tables import (
    campaign,
    campaign_member,
    campaign_part,
    campaign_round,
    checkpoint,
)
from protocols.documents import Document


@dataclass(frozen=True)
class CampaignRow:
    """One campaign.

    Attributes:
        plan, signature, key_id: the signed plan document.
        detail: why it is paused, failed or aborted; of a completed one, who was missing.
        held_at_ms: since when an operator holds it; None: nobody does.
        deadline_at_ms: when the whole of it is over, as its plan says.
        kind: `training` or `watch`.
    """

    campaign_id: str
    plan: bytes
    signature: bytes
    key_id: str
    state: str
    detail: str
    bundle_version: str | None
    created_at_ms: int
    finished_at_ms: int | None
    held_at_ms: int | None = None
    deadline_at_ms: int | None = None
    kind: str = "training"


@dataclass(frozen=True)
class MemberRow:
    """A member's answer to a plan.

    Attributes:
        refusal: empty, or the code the node refused with.
        cohort_band: rows the node may train on, noised and rounded down to a band.
    """

    member_id: str
    refusal: str
    cohort_band: int


@dataclass(frozen=True)
class PartRow:
    """What a member's part in a campaign came to.

    Attributes:
        rounds: in how many it counted.
        last_failure: the code of the last round that it was asked for and did not count in;
            empty: there was none.
    """

    member_id: str
    rounds: int
    last_failure: str


@dataclass(frozen=True)
class RoundRow:
    """One completed round.

    Attributes:
        loss: mean clipped loss of the round's rows, itself differentially private; None: unknown.
        epsilon: the largest ledger among the participating nodes after this round.
        seconds: from the first message sent to the step taken.
    """

    round: int
    loss: float | None
    epsilon: float
    seconds: float
    participants: int
    at_ms: int


def add(
    connection: Connection,
    campaign_id: str,
    plan: Document,
    state: str,
    at_ms: int,
    deadline_at_ms: int | None = None,
    kind: str = "training",
) -> None:
    """Store a new campaign."""
    connection.execute(
        insert(campaign).values(
            campaign_id=campaign_id,
            plan=plan.body,
            signature=plan.signature,
            key_id=plan.key_id,
            state=state,
            detail="",
            bundle_version=None,
            created_at_ms=at_ms,
            finished_at_ms=None,
            held_at_ms=None,
            deadline_at_ms=deadline_at_ms,
            kind=kind,
        )
    )


def find(connection: Connection, campaign_id: str) -> CampaignRow | None:
    """The campaign by that id, or None."""
    found = connection.execute(select(campaign).where(campaign.c.campaign_id == campaign_id))
    row = found.mappings().one_or_none()
    return _row(row) if row is not None else None


def in_states(connection: Connection, states: Collection[str]) -> list[CampaignRow]:
    """The campaigns in any of `states`, oldest first."""
    rows = connection.execute(
        select(campaign)
        .where(campaign.c.state.in_(states))
        .order_by(campaign.c.created_at_ms, campaign.c.campaign_id)
    )
    return [_row(row) for row in rows.mappings()]


def newest(connection: Connection) -> CampaignRow | None:
    """The campaign proposed last, or None."""
    rows = connection.execute(
        select(campaign).order_by(campaign.c.created_at_ms.desc(), campaign.c.campaign_id).limit(1)
    )
    row = rows.mappings().one_or_none()
    return _row(row) if row is not None else None


def newest_of(connection: Connection, kind: str) -> CampaignRow | None:
    """The campaign of a kind that was proposed last, or None."""
    rows = connection.execute(
        select(campaign)
        .where(campaign.c.kind == kind)
        .order_by(campaign.c.created_at_ms.desc(), campaign.c.campaign_id)
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return _row(row) if row is not None else None


def set_state(
    connection: Connection,
    campaign_id: str,
    state: str,
    *,
    detail: str = "",
    finished_at_ms: int | None = None,
    bundle_version: str | None = None,
) -> None:
    """Note a new state; the caller has looked it up in the table of `coordinator.campaigns`."""
    connection.execute(
        update(campaign)
        .where(campaign.c.campaign_id == campaign_id)
        .values(
            state=state, detail=detail, finished_at_ms=finished_at_ms, bundle_version=bundle_version
        )
    )


def set_held(connection: Connection, campaign_id: str, at_ms: int | None) -> None:
    """Note that an operator holds the campaign since `at_ms`, or (None) lets go of it."""
    connection.execute(
        update(campaign).where(campaign.c.campaign_id == campaign_id).values(held_at_ms=at_ms)
    )


def newest_first(connection: Connection, limit: int) -> list[CampaignRow]:
    """The campaigns proposed last, the newest first."""
    rows = connection.execute(
        select(campaign)
        .order_by(campaign.c.created_at_ms.desc(), campaign.c.campaign_id)
        .limit(limit)
    )
    return [_row(row) for row in rows.mappings()]


def count_part(
    connection: Connection, campaign_id: str, counted: Collection[str], failures: Mapping[str, str]
) -> None:
    """Note who counted in a round, and the code of each member that did not."""
    known = {row.member_id: row for row in parts(connection, campaign_id)}
    connection.execute(delete(campaign_part).where(campaign_part.c.campaign_id == campaign_id))
    for member_id in sorted({*known, *counted, *failures}):
        before = known.get(member_id, PartRow(member_id, 0, ""))
        row = PartRow(
            member_id,
            before.rounds + (member_id in counted),
            failures.get(member_id, before.last_failure)[:40],
        )
        connection.execute(insert(campaign_part).values(campaign_id=campaign_id, **row.__dict__))


def parts(connection: Connection, campaign_id: str) -> list[PartRow]:
    """In how many rounds each member counted, by id."""
    rows = connection.execute(
        select(campaign_part.c.member_id, campaign_part.c.rounds, campaign_part.c.last_failure)
        .where(campaign_part.c.campaign_id == campaign_id)
        .order_by(campaign_part.c.member_id)
    )
    return [PartRow(*row) for row in rows]


def set_member(connection: Connection, campaign_id: str, row: MemberRow) -> None:
    """Note a member's answer to the plan; the last one stands."""
    connection.execute(
        delete(campaign_member).where(
            campaign_member.c.campaign_id == campaign_id,
            campaign_member.c.member_id == row.member_id,
        )
    )
    connection.execute(insert(campaign_member).values(campaign_id=campaign_id, **row.__dict__))


def members(connection: Connection, campaign_id: str) -> list[MemberRow]:
    """The members that answered, by id."""
    rows = connection.execute(
        select(
            campaign_member.c.member_id, campaign_member.c.refusal, campaign_member.c.cohort_band
        )
        .where(campaign_member.c.campaign_id == campaign_id)
        .order_by(campaign_member.c.member_id)
    )
    return [MemberRow(*row) for row in rows]


def add_round(connection: Connection, campaign_id: str, row: RoundRow) -> None:
    """Store a completed round; a round that exists is a primary key violation."""
    connection.execute(insert(campaign_round).values(campaign_id=campaign_id, **row.__dict__))


def rounds(connection: Connection, campaign_id: str, *, after: int = 0) -> list[RoundRow]:
    """The completed rounds above `after`, in order."""
    columns = [column for column in campaign_round.c if column.name != "campaign_id"]
    rows = connection.execute(
        select(*columns)
        .where(campaign_round.c.campaign_id == campaign_id, campaign_round.c.round > after)
        .order_by(campaign_round.c.round)
    )
    return [RoundRow(**row) for row in rows.mappings()]


def count_rounds(connection: Connection, campaign_id: str) -> int:
    """How many rounds are completed."""
    counted = connection.execute(
        select(func.count())
        .select_from(campaign_round)
        .where(campaign_round.c.campaign_id == campaign_id)
    )
    return int(counted.scalar_one())


def save_checkpoint(connection: Connection, campaign_id: str, round_: int, state: bytes) -> None:
    """Replace the campaign's checkpoint by the one after `round_`."""
    changed = connection.execute(
        update(checkpoint)
        .where(checkpoint.c.campaign_id == campaign_id)
        .values(round=round_, state=state)
    )
    if changed.rowcount == 0:
        connection.execute(
            insert(checkpoint).values(campaign_id=campaign_id, round=round_, state=state)
        )


def load_checkpoint(connection: Connection, campaign_id: str) -> tuple[int, bytes] | None:
    """The last completed round and the optimiser's state after it, or None before round 1."""
    row = connection.execute(
        select(checkpoint.c.round, checkpoint.c.state).where(
            checkpoint.c.campaign_id == campaign_id
        )
    ).one_or_none()
    return (int(row[0]), bytes(row[1])) if row is not None else None


def _row(values: Mapping[Any, Any]) -> CampaignRow:
    return CampaignRow(**values)
