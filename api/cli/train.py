"""`credence train`: propose a campaign to the running coordinator and watch it to its end."""

import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_coordinator, refuse_unless_running
from api.cli.options import AsJson, named
from api.cli.times import now_ms

if TYPE_CHECKING:
    from coordinator.bootstrap import Coordinator
    from coordinator.storage.campaigns import CampaignRow, MemberRow, RoundRow

POLL_S = 0.2
THEN = "; a campaign that was under way goes on then."
ALIVE_EVERY_S = 2.0
EXAMPLE = "Example: credence train ./coordinator --epsilon 3 --members bank-a,bank-b,bank-c"


def train(
    home: Annotated[Path, typer.Argument(help="The coordinator's home.", show_default=False)],
    epsilon: Annotated[
        float, typer.Option(help="Ceiling of every node's privacy loss, follow-up included.")
    ] = 3.0,
    delta: Annotated[float, typer.Option(help="The delta that epsilon holds at.")] = 1e-5,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Training rounds.", show_default=False)
    ] = None,
    members: Annotated[
        str, typer.Option(help="Member ids, comma separated; every bank when left out.")
    ] = "",
    minimum_cohort: Annotated[
        int, typer.Option(min=1, help="Fewest consented subjects a member must have.")
    ] = 100,
    deadline_hours: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Hours until the campaign is over, whatever is missing; the coordinator's "
            "campaign_hours when left out.",
            show_default=False,
        ),
    ] = None,
    follow_up: Annotated[
        str | None,
        typer.Option(
            help="Continue from this bundle ('champion') with the rounds kept in reserve.",
            show_default=False,
        ),
    ] = None,
    abort: Annotated[
        str | None, typer.Option(help="End this campaign instead.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train the shared score over the members, under differential privacy."""
    from coordinator.proposals import make_proposals

    with opened_coordinator(home) as coordinator:
        proposals = make_proposals(coordinator)
        if abort is not None:
            proposals.abort(abort, now_ms())
            console.out.print(f"{abort} is aborted; nothing of it is published")
            return
        refuse_unless_running(home, THEN)
        if follow_up is not None:
            plan = proposals.follow_up("" if follow_up == "champion" else follow_up, now_ms())
        else:
            options: dict[str, Any] = {
                "epsilon": epsilon,
                "delta": delta,
                "minimum_cohort": minimum_cohort,
            }
            if rounds is not None:
                options["rounds"] = rounds
            if deadline_hours is not None:
                options["deadline_at_ms"] = now_ms() + int(deadline_hours * 3_600_000)
            chosen = named(members)
            plan = proposals.propose(chosen, now_ms(), **options)
        _watch(home, coordinator, plan.campaign_id, plan.rounds, quiet=as_json)
        _tell(coordinator, plan.campaign_id, plan.privacy.delta, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(epilog=EXAMPLE)(train)


def _watch(
    home: Path, coordinator: "Coordinator", campaign_id: str, rounds: int, *, quiet: bool
) -> None:
    """Show progress until the campaign has ended."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from coordinator.campaigns import FINAL
    from coordinator.storage import campaigns

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  epsilon {task.fields[epsilon]}"),
        TimeElapsedColumn(),
    )
    looked_at = time.monotonic()
    with Progress(*columns, console=console.err, disable=quiet) as progress:
        task = progress.add_task("proposed", total=rounds, loss="-", epsilon="-")
        done = 0
        while True:
            with coordinator.database.read() as connection:
                row = campaigns.find(connection, campaign_id)
                new = campaigns.rounds(connection, campaign_id, after=done)
            if new:
                done = new[-1].round
                loss, epsilon = _figures(new[-1])
                progress.update(task, completed=done, loss=loss, epsilon=epsilon)
            if row is not None:
                progress.update(task, description=row.state)
                if row.state in FINAL:
                    return
            if time.monotonic() - looked_at > ALIVE_EVERY_S:
                looked_at = time.monotonic()
                refuse_unless_running(home, THEN)
            time.sleep(POLL_S)


def _figures(row: "RoundRow") -> tuple[str, str]:
    return "-" if row.loss is None else f"{row.loss:.3f}", f"{row.epsilon:.2f}"


def _tell(coordinator: "Coordinator", campaign_id: str, delta: float, *, as_json: bool) -> None:
    from coordinator.storage import campaigns
    from protocols.errors import StateConflict

    with coordinator.database.read() as connection:
        row = campaigns.find(connection, campaign_id)
        rounds = campaigns.rounds(connection, campaign_id)
        members = campaigns.members(connection, campaign_id)
    if row is None:
        raise StateConflict(f"campaign {campaign_id} is gone")
    facts = _facts(row, rounds, members, delta)
    if as_json:
        console.print_json(facts)
    if row.state != "completed":
        raise StateConflict(
            f"campaign {campaign_id} {row.state}: {row.detail}",
            next_step="Nothing was published. Deal with the cause, then train again.",
        )
    if not as_json:
        console.out.print(
            f"[bold]{row.bundle_version}[/bold] published after {len(rounds)} rounds "
            f"({facts['round_median_s']} s each), epsilon {facts['epsilon']} at delta {delta:g}"
        )


def _facts(
    row: "CampaignRow", rounds: "list[RoundRow]", members: "list[MemberRow]", delta: float
) -> dict[str, Any]:
    last = rounds[-1] if rounds else None
    return {
        "campaign_id": row.campaign_id,
        "state": row.state,
        "detail": row.detail,
        "bundle": row.bundle_version,
        "rounds": len(rounds),
        "round_median_s": round(median(one.seconds for one in rounds), 3) if rounds else None,
        "loss": last.loss if last else None,
        "epsilon": round(last.epsilon, 4) if last else None,
        "delta": delta,
        "members": [dict(one.__dict__) for one in members],
    }
