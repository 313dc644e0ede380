"""`credence node retention`: schedules, what is due, legal holds, and the run that deletes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import utc

if TYPE_CHECKING:
    from node.retention.service import RetentionService
    from node.storage.retention import Hold

app = typer.Typer(
    help="How long records are kept: schedules, legal holds, and the run that deletes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command(epilog="Example: credence node retention show ./bank-a")
def show(home: NodeHome, as_json: AsJson = False) -> None:
    """Show the schedules, what is due now, what holds keep, and the last runs. Changes nothing."""
    from node.retention.schedule import SCHEDULE

    with _opened(home) as (service, read):
        overview = read(service)
    schedule = [
        {
            "class": name.value,
            "years": rule.period.years,
            "months": rule.period.months,
            "starts": rule.starts,
            "basis": rule.basis,
            "set_by": "law" if rule.is_law else "institution",
            "action": rule.action.value,
            "due": overview.due.get(name.value, (0, 0))[0],
            "held": overview.due.get(name.value, (0, 0))[1],
        }
        for name, rule in SCHEDULE.items()
    ]
    holds = [_hold(one) for one in overview.holds]
    runs = [{"run_id": one.run_id, "at_ms": one.at_ms, "counts": dict(one.counts)}
            for one in overview.runs[:10]]  # fmt: skip
    if as_json:
        console.print_json({"schedule": schedule, "holds": holds, "runs": runs})
        return
    _print_schedule(schedule)
    for one in holds:
        state = "released" if one["released_at_ms"] else "in force"
        about = "one person" if one["person"] else "everybody"
        what = one["class"] or "all records"
        console.out.print(
            f"hold {one['hold_id']}  {state}: {what} of {about}; {one['authority']}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if not holds:
        console.out.print("no legal hold")
    last = f"last run {utc(runs[0]['at_ms'])}" if runs else "no run yet"
    console.out.print(last)


@app.command(
    epilog="Example: credence node retention hold ./bank-a --customer A-000123 "
    "--authority 'Court 2 of the district, (2026) 117'"
)
def hold(
    home: NodeHome,
    authority: Annotated[
        str, typer.Option(help="Who asks for it, and the number of the file.", show_default=False)
    ],
    customer: Annotated[
        str | None, typer.Option(help="Customer number.", show_default=False)
    ] = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="Hold it of all people.")] = False,
    record_class: Annotated[
        str, typer.Option("--class", help="One class of records; left out: all.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Keep records from deletion until the hold is released; it has a leaf in the log."""
    if (customer is None) == (not everybody):
        raise console.usage_error("give either --customer NUMBER or --everybody")
    with _opened(home) as (service, _):
        made = service.hold(authority, customer=customer, record_class=record_class)
    if as_json:
        console.print_json(_hold(made))
    else:
        console.out.print(f"{made.hold_id}", markup=False)
        console.err.print("nothing that it keeps is deleted until it is released", style="dim")


@app.command(epilog="Example: credence node retention release ./bank-a hld_...")
def release(
    home: NodeHome,
    hold_id: Annotated[str, typer.Argument(help="The hold's id.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Release a legal hold; what is due goes with the next run."""
    with _opened(home) as (service, _):
        ended = service.release(hold_id)
    if as_json:
        console.print_json({"hold_id": ended.hold_id})
    else:
        console.out.print(f"[bold]{ended.hold_id}[/bold] is released")


@app.command(epilog="Example: credence node retention run ./bank-a")
def run(home: NodeHome, as_json: AsJson = False) -> None:
    """Delete what is due and not held, now. A running node does so once a day by itself."""
    with _opened(home) as (service, _):
        made = service.run()
    if as_json:
        console.print_json({"run_id": made.run_id, "counts": dict(made.counts)})
        return
    some = {name: pair for name, pair in made.counts.items() if any(pair)}
    for name, (done, held) in some.items():
        kept = f", {held} held back" if held else ""
        console.out.print(f"  {name:<16} {done} deleted{kept}")
    if not some:
        console.out.print("nothing was due")


def _print_schedule(schedule: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("records", "kept", "from", "rests on", "due", "held"):
        table.add_column(title, justify="right" if title in {"due", "held"} else "left")
    for one in schedule:
        kept = f"{one['years']} years" if one["years"] else f"{one['months']} months"
        table.add_row(
            one["class"], kept, one["starts"].replace("_", " "),
            f"{one['basis']} ({one['set_by']})", str(one["due"]), str(one["held"]),
        )  # fmt: skip
    console.out.print(table)


def _hold(one: "Hold") -> dict[str, Any]:
    return {
        "hold_id": one.hold_id,
        "person": one.pseudonym is not None,
        "class": one.record_class,
        "authority": one.authority,
        "placed_at_ms": one.placed_at_ms,
        "released_at_ms": one.released_at_ms,
    }


@contextmanager
def _opened(home: Path) -> Iterator[tuple["RetentionService", Any]]:
    from node.retention.wiring import retention_of

    with opened_node(home) as node:

        def read(service: "RetentionService") -> Any:
            with node.database.read() as connection:
                return service.overview(connection)

        yield retention_of(node), read
