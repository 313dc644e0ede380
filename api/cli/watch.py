"""`credence coordinator watch`: whether the model in force still fits; `credence node watch`."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_coordinator, opened_node, refuse_unless_running
from api.cli.options import AsJson, CoordinatorHome, NodeHome, named
from api.cli.times import now_ms

if TYPE_CHECKING:
    from coordinator.bootstrap import Coordinator
    from coordinator.storage.watch import AlertRow
    from node.score_drift import ScoreDrift

POLL_S = 0.2
NODE_EXAMPLE = "Example: credence node watch ./bank-a --days 30 --json"

app = typer.Typer(
    help="Watch the model in force: drift, PD against outcome, alerts.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command(epilog="Example: credence coordinator watch run ./coordinator --epsilon 0.3")
def run(
    home: CoordinatorHome,
    epsilon: Annotated[
        float, typer.Option(help="Ceiling of what the watch costs every node's people.")
    ] = 0.5,
    members: Annotated[
        str, typer.Option(help="Member ids, comma separated; every bank when left out.")
    ] = "",
    signals: Annotated[
        str,
        typer.Option(help="Signals to look at, comma separated; the main ones when left out."),
    ] = "",
    minimum_cohort: Annotated[
        int, typer.Option(min=1, help="Fewest consented subjects a member must have.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Ask the nodes for one noised tally of the model in force, and read it."""
    from coordinator.campaigns import FINAL
    from coordinator.proposals import make_proposals
    from coordinator.storage import campaigns
    from coordinator.watch.templates import PlanMaker
    from protocols.errors import StateConflict

    template: dict[str, Any] = {"epsilon": epsilon, "minimum_cohort": minimum_cohort}
    template |= {name: found for name, text in (("members", members), ("signals", signals))
                 if (found := named(text))}  # fmt: skip
    with opened_coordinator(home) as coordinator:
        proposals = make_proposals(coordinator)
        plan = PlanMaker(proposals).watch(template, now_ms())
        with coordinator.database.write() as connection:
            proposals.store(connection, plan, now_ms())
        while True:
            refuse_unless_running(home, "; the watch goes on then.")
            with coordinator.database.read() as connection:
                row = campaigns.find(connection, plan.campaign_id)
            if row is not None and row.state in FINAL:
                break
            time.sleep(POLL_S)
        if row.state != "completed":
            raise StateConflict(
                f"watch {plan.campaign_id} {row.state}: {row.detail}",
                next_step="Deal with the cause, then watch again.",
            )
        _show(coordinator, 1, as_json=as_json)


@app.command(epilog="Example: credence coordinator watch show ./coordinator --limit 5 --json")
def show(
    home: CoordinatorHome,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many watches.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Show what watches found last, and the alerts that are not cleared."""
    with opened_coordinator(home) as coordinator:
        _show(coordinator, limit, as_json=as_json)


@app.command(epilog="Example: credence coordinator watch acknowledge ./coordinator alert-1f0a2b")
def acknowledge(
    home: CoordinatorHome,
    alert_id: Annotated[str, typer.Argument(help="The alert's id.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Say that an alert is seen; it clears when its condition is over, and not before."""
    from coordinator.membership import ACTOR
    from coordinator.watch.alerts import Alerts

    with opened_coordinator(home) as coordinator, coordinator.database.write() as connection:
        row = Alerts(coordinator.audit, ACTOR).acknowledge(connection, alert_id, now_ms())
    if as_json:
        console.print_json(dict(row.__dict__))
        return
    console.out.print(f"{row.alert_id} is {row.state}: {row.rule} {row.about}", soft_wrap=True)


def node_watch(
    home: NodeHome,
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back 'now' reaches.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Compare this node's scores with its earlier ones, and with reported outcomes.

    It costs no privacy: what is counted stays here, for whoever runs the node.
    """
    from node.outcomes.fit import outcome_fit
    from node.score_drift import score_drift
    from node.storage import reported_outcomes

    with opened_node(home) as node:
        found = score_drift(node, days, now_ms())
        with node.database.read() as connection:
            fits = outcome_fit(reported_outcomes.newest(connection, 0))
    if as_json:
        console.print_json(found.to_json() | {"outcomes": [one.to_json() for one in fits]})
        return
    _print_drift(found)
    for fit in fits:
        console.out.print(
            f"  {fit.model}: {fit.outcomes:,} outcomes reported, {fit.default_rate:.1%} defaults, "
            f"{fit.mean_pd:.1%} expected: {fit.verdict.replace('_', ' ')}",
            markup=False,
            soft_wrap=True,
        )


def _print_drift(found: "ScoreDrift") -> None:
    out = console.out
    out.print(f"{found.version}  {found.now:,} scores now, {found.then:,} before", markup=False)
    if found.psi is None:
        out.print("  too few scores to compare")
        return
    out.print(
        f"  PSI {found.psi:.3f}: {found.verdict}; mean points {found.mean_then:.0f} before, "
        f"{found.mean_now:.0f} now",
        markup=False,
        soft_wrap=True,
    )
    for one in found.bands:
        out.print(f"    {one.band}  {one.then:7.1%} before  {one.now:7.1%} now", markup=False)


def _show(coordinator: "Coordinator", limit: int, *, as_json: bool) -> None:
    from coordinator.storage import watch
    from coordinator.watch.results import read_result

    key = coordinator.keys.directory.verify_key
    with coordinator.database.read() as connection:
        rows = watch.results(connection, limit * 4)
        alerts = watch.open_alerts(connection)
    found = [one for one in (read_result(row, key) for row in rows) if one.findings is not None]
    facts = [
        {
            "campaign_id": one.campaign_id,
            "bundle": one.bundle_version,
            "at_ms": one.at_ms,
            "members": list(one.members),
            "epsilon": one.epsilon,
            "delta": one.delta,
            "against": one.against,
            **dict(one.findings or {}),
        }
        for one in found[:limit]
    ]
    if as_json:
        console.print_json({"watches": facts, "alerts": [dict(one.__dict__) for one in alerts]})
        return
    if not facts:
        console.out.print("no watch yet; `credence coordinator watch run HOME`", markup=False)
    for one in facts:
        _print_watch(one)
    for alert in alerts:
        _print_alert(alert)


def _print_watch(one: dict[str, Any]) -> None:
    out = console.out
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(one["at_ms"] / 1000))
    out.print(
        f"{one['bundle']}  {when}  {len(one['members'])} members, about {one['people']:,.0f} "
        f"people, epsilon {one['epsilon']:g} at delta {one['delta']:g}",
        markup=False,
        soft_wrap=True,
    )
    out.print(f"  score drift (PSI)       {_estimate(one['psi'])}", markup=False)
    out.print(f"  expected over observed  {_estimate(one['ratio'])}", markup=False)
    out.print(f"  AUC                     {_estimate(one['auc'])}", markup=False)
    for name, psi in one["signals"].items():
        out.print(f"  {name:<22}  {_estimate(psi)}", markup=False)


def _print_alert(one: "AlertRow") -> None:
    text = f"{one.tone.upper()} {one.rule} {one.about} ({one.state}, {one.alert_id}) {one.detail}"
    console.out.print(text.rstrip(), markup=False, soft_wrap=True)


def _estimate(one: dict[str, float] | None) -> str:
    if one is None:
        return "too few people for the noise"
    return f"{one['value']:.3f}  ({one['low']:.3f} to {one['high']:.3f})"
