"""`credence coordinator schedule`: what is proposed without anybody asking."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_coordinator
from api.cli.options import AsJson, CoordinatorHome, named
from api.cli.times import now_ms

if TYPE_CHECKING:
    from coordinator.storage.schedules import ScheduleRow

DAY_MS = 86_400_000

app = typer.Typer(
    help="Retrain, and watch the model in force, on schedule.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Kind = Annotated[str, typer.Option(help="training or watch.")]


@app.command(epilog="Example: credence coordinator schedule show ./coordinator --json")
def show(home: CoordinatorHome, as_json: AsJson = False) -> None:
    """Show what is scheduled, when it is due next, and what became of the last one."""
    from coordinator.schedule import KINDS
    from coordinator.watch.wiring import make_scheduler

    with opened_coordinator(home) as coordinator:
        scheduler = make_scheduler(coordinator)
        rows = [row for row in map(scheduler.find, KINDS) if row is not None]
    if as_json:
        console.print_json({"schedules": [dict(row.__dict__) for row in rows]})
        return
    if not rows:
        console.out.print(
            f"nothing is scheduled; `credence coordinator schedule set {home}`", soft_wrap=True
        )
    for row in rows:
        _print(row)


@app.command(
    "set",
    epilog="Example: credence coordinator schedule set ./coordinator --every-days 30 "
    "--minimum-days 7 --epsilon 1 --on-drift",
)
def set_(
    home: CoordinatorHome,
    kind: Kind = "training",
    every_days: Annotated[float, typer.Option(min=0.05, help="Days from one to the next.")] = 90,
    minimum_days: Annotated[
        float,
        typer.Option(min=0.05, help="Least days between two campaigns of the kind, by hand too."),
    ] = 7,
    first_in_days: Annotated[
        float | None,
        typer.Option(
            min=0, help="Days until the first; --every-days when left out.", show_default=False
        ),
    ] = None,
    on_drift: Annotated[
        bool, typer.Option("--on-drift", help="A danger of drift makes the training due at once.")
    ] = False,
    epsilon: Annotated[
        float | None, typer.Option(help="Ceiling of each campaign.", show_default=False)
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Training rounds.", show_default=False)
    ] = None,
    members: Annotated[
        str, typer.Option(help="Member ids, comma separated; every bank when left out.")
    ] = "",
    minimum_cohort: Annotated[
        int | None,
        typer.Option(min=1, help="Fewest consented subjects of a member.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set a schedule, in place of the one of its kind.

    Each campaign is an ordinary one: nodes decide on it by their own policies and budgets. A node
    whose budget is spent is not in it; below the quorum the schedule raises an alert and backs off.
    """
    from coordinator.watch.wiring import make_scheduler

    chosen = named(members)
    given = {"epsilon": epsilon, "rounds": rounds, "members": chosen or None,
             "minimum_cohort": minimum_cohort}  # fmt: skip
    with opened_coordinator(home) as coordinator:
        at_ms = now_ms()
        row = make_scheduler(coordinator).set(
            kind,
            interval_ms=int(every_days * DAY_MS),
            gap_ms=int(minimum_days * DAY_MS),
            template={name: value for name, value in given.items() if value is not None},
            now_ms=at_ms,
            first_at_ms=None if first_in_days is None else at_ms + int(first_in_days * DAY_MS),
            on_drift=on_drift,
        )
    if as_json:
        console.print_json(dict(row.__dict__))
        return
    _print(row)


@app.command(epilog="Example: credence coordinator schedule off ./coordinator --kind watch")
def off(home: CoordinatorHome, kind: Kind = "training", as_json: AsJson = False) -> None:
    """Take a schedule away; what it has proposed already goes on."""
    from coordinator.watch.wiring import make_scheduler

    with opened_coordinator(home) as coordinator:
        make_scheduler(coordinator).off(kind, now_ms())
    if as_json:
        console.print_json({"kind": kind, "scheduled": False})
        return
    console.out.print(f"{kind} is no longer scheduled")


def _print(row: "ScheduleRow") -> None:
    facts: dict[str, Any] = {
        "every": f"{row.interval_ms / DAY_MS:g} days, at least {row.gap_ms / DAY_MS:g} apart",
        "due": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(row.due_at_ms / 1000)),
        "drift": "makes it due at once" if row.on_drift else "only raises an alert",
        "plan": row.template,
        "last": row.campaign_id or "none yet",
    }
    if row.failures:
        facts["failed"] = f"{row.failures} in a row; {row.detail}"
    console.out.print(f"[bold]{row.kind}[/bold]")
    for name, text in facts.items():
        console.out.print(f"  {name:<7} {text}", markup=False, soft_wrap=True)
