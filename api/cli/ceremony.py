"""`credence ceremony`: the members make the key of the network's pseudonyms together."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_coordinator, refuse_unless_running
from api.cli.options import AsJson, CoordinatorHome, named
from api.cli.times import now_ms

if TYPE_CHECKING:
    from coordinator.bootstrap import Coordinator

app = typer.Typer(
    help="Have the members make a pseudonym key that nobody holds.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

POLL_S = 0.2
THEN = ", then try again."


@app.command(epilog="Example: credence ceremony start ./coordinator --threshold 3")
def start(
    home: CoordinatorHome,
    threshold: Annotated[
        int, typer.Option(help="How many trustees an evaluation needs; a majority.")
    ] = 3,
    trustees: Annotated[
        str, typer.Option(help="Member ids, comma separated; every active member when left out.")
    ] = "",
    round_seconds: Annotated[
        float, typer.Option(help="How long a round waits for a trustee that is late.")
    ] = 60.0,
    wait: Annotated[bool, typer.Option(help="Watch the ceremony to its end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Begin a ceremony for the next epoch; every trustee's running node takes part by itself."""
    from coordinator.ceremonies.service import make_board
    from protocols.errors import StateConflict

    with opened_coordinator(home) as coordinator:
        refuse_unless_running(home, THEN)
        chosen = named(trustees)
        make_board(coordinator).announce(
            threshold, chosen, now_ms(), round_ms=round(round_seconds * 1000)
        )
        facts = _watch(home, coordinator, quiet=as_json) if wait else _facts(coordinator)
    _show(facts, as_json=as_json)
    if facts is not None and facts["state"] == "failed":
        raise StateConflict(
            f"ceremony {facts['ceremony_id']} failed: {facts['detail']}",
            next_step="Bring silent trustees back, leave cheating ones out, then start again.",
        )


@app.command(epilog="Example: credence ceremony status ./coordinator --json")
def status(home: CoordinatorHome, as_json: AsJson = False) -> None:
    """Show the newest ceremony: its round, who has posted, who was blamed for what."""
    with opened_coordinator(home) as coordinator:
        facts = _facts(coordinator)
    _show(facts, as_json=as_json)


def _facts(coordinator: "Coordinator") -> dict[str, Any] | None:
    from coordinator.ceremonies.service import make_board
    from protocols.errors import NotFound

    board = make_board(coordinator)
    try:
        row, _ = board.current()
    except NotFound:
        return None
    ceremony = board.ceremony(row)
    return {
        "ceremony_id": row.ceremony_id,
        "epoch": row.epoch,
        "threshold": ceremony.threshold,
        "trustees": list(ceremony.trustees),
        "state": row.state,
        "deadline_ms": row.deadline_ms,
        "detail": row.detail,
        "posted": board.progress(row),
        "key_version": row.key_version,
        "seconds": None
        if row.finished_at_ms is None
        else (row.finished_at_ms - row.created_at_ms) / 1000,
    }


def _watch(home: Path, coordinator: "Coordinator", *, quiet: bool) -> dict[str, Any] | None:
    from coordinator.ceremonies.lifecycle import FINAL

    with console.err.status("announced") as shown:
        while True:
            facts = _facts(coordinator)
            if facts is None or facts["state"] in FINAL:
                return facts
            if not quiet:
                posted = facts["posted"].get(facts["state"], [])
                shown.update(f"{facts['state']}: {', '.join(posted) or 'waiting'}")
            refuse_unless_running(home, THEN)
            time.sleep(POLL_S)


def _show(facts: dict[str, Any] | None, *, as_json: bool) -> None:
    if as_json:
        console.print_json(facts)
        return
    if facts is None:
        console.out.print("no ceremony yet: credence ceremony start HOME")
        return
    console.out.print(
        f"[bold]{facts['ceremony_id']}[/bold]  epoch {facts['epoch']}, "
        f"{facts['threshold']} of {len(facts['trustees'])}  {facts['state']}"
    )
    for round_, names in facts["posted"].items():
        console.out.print(f"  {round_:<12} {', '.join(names) or '-'}", soft_wrap=True)
    if facts["detail"]:
        console.out.print(f"  {facts['detail']}", soft_wrap=True, markup=False)
