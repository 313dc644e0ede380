"""`credence coordinator campaign`: what became of campaigns; pause, resume, end one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_coordinator
from api.cli.options import AsJson, CoordinatorHome
from api.cli.times import now_ms

if TYPE_CHECKING:
    from audit.database import Connection
    from coordinator.storage.campaigns import CampaignRow

app = typer.Typer(
    help="Look at training campaigns; pause, resume or end one.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

CampaignId = Annotated[str, typer.Argument(help="The campaign's id.", show_default=False)]


@app.command(
    "list", epilog="Example: credence coordinator campaign list ./coordinator --limit 5 --json"
)
def list_(
    home: CoordinatorHome,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the newest campaigns: state, rounds, and which members failed in which way."""
    from coordinator.storage import campaigns

    with opened_coordinator(home) as coordinator, coordinator.database.read() as connection:
        rows = campaigns.newest_first(connection, limit)
        found = [_facts(connection, row) for row in rows]
    if as_json:
        console.print_json({"campaigns": found})
        return
    if not found:
        console.out.print(f"no campaign yet; propose one with `credence train {home}`")
    for one in found:
        _print(one)


@app.command(epilog="Example: credence coordinator campaign pause ./coordinator camp-1f0a")
def pause(home: CoordinatorHome, campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Hold a campaign; the round under way is finished and kept, no other begins."""
    from coordinator.proposals import make_proposals

    with opened_coordinator(home) as coordinator:
        state = make_proposals(coordinator).hold(campaign_id, now_ms())
    _said(campaign_id, state, "held; it goes on when you resume it, also after a restart", as_json)


@app.command(epilog="Example: credence coordinator campaign resume ./coordinator camp-1f0a")
def resume(home: CoordinatorHome, campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """Let a held campaign go on."""
    from coordinator.proposals import make_proposals

    with opened_coordinator(home) as coordinator:
        state = make_proposals(coordinator).release(campaign_id, now_ms())
    _said(campaign_id, state, "goes on as soon as a quorum is there", as_json)


@app.command(epilog="Example: credence coordinator campaign abort ./coordinator camp-1f0a")
def abort(home: CoordinatorHome, campaign_id: CampaignId, as_json: AsJson = False) -> None:
    """End a campaign; nothing of it is published, and what nodes were charged stays charged."""
    from coordinator.proposals import make_proposals

    with opened_coordinator(home) as coordinator:
        make_proposals(coordinator).abort(campaign_id, now_ms())
    _said(campaign_id, "aborted", "aborted; nothing of it is published", as_json)


def _facts(connection: "Connection", row: "CampaignRow") -> dict[str, Any]:
    from coordinator.storage import campaigns
    from models.plan import CampaignPlan

    plan = CampaignPlan.from_body(row.plan)
    refusals = {
        one.member_id: one.refusal for one in campaigns.members(connection, row.campaign_id)
    }
    parts = {one.member_id: one for one in campaigns.parts(connection, row.campaign_id)}
    done = campaigns.count_rounds(connection, row.campaign_id)
    members = [
        {
            "member_id": member_id,
            "refusal": refusals.get(member_id, ""),
            "rounds": parts[member_id].rounds if member_id in parts else 0,
            "last_failure": parts[member_id].last_failure if member_id in parts else "",
        }
        for member_id in plan.members
    ]
    return {
        "campaign_id": row.campaign_id,
        "state": row.state,
        "held": row.held_at_ms is not None,
        "detail": row.detail,
        "purpose": plan.purpose,
        "rounds": done,
        "rounds_planned": plan.rounds,
        "quorum": plan.quorum,
        "round_deadline_s": plan.round_deadline_s,
        "mode": plan.privacy.mode,
        "epsilon": plan.privacy.epsilon,
        "delta": plan.privacy.delta,
        "bundle": row.bundle_version,
        "created_at_ms": row.created_at_ms,
        "finished_at_ms": row.finished_at_ms,
        "members": members,
    }


def _print(one: dict[str, Any]) -> None:
    held = ", held by you" if one["held"] else ""
    console.out.print(
        f"{one['campaign_id']}  {one['state']}{held}  {one['rounds']} of {one['rounds_planned']} "
        f"rounds  epsilon {one['epsilon']:g} ({one['mode']})  {one['bundle'] or ''}".rstrip(),
        markup=False,
        soft_wrap=True,
    )
    if one["detail"]:
        console.out.print(f"  {one['detail']}", markup=False, soft_wrap=True)


def _said(campaign_id: str, state: str, text: str, as_json: bool) -> None:
    if as_json:
        console.print_json({"campaign_id": campaign_id, "state": state})
        return
    console.out.print(f"{campaign_id} is {state}: {text}", markup=False, soft_wrap=True)
