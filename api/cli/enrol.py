"""`credence node enrol`: pseudonyms for customers, and the change from one key's to the next's."""

from typing import Annotated

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import now_ms

EXAMPLE = "Example: credence node enrol ./bank-a --epoch 2, at every node; then --epoch 2 --switch"


def enrol(
    home: NodeHome,
    epoch: Annotated[
        int | None,
        typer.Option(min=1, help="Of the key; the newest when left out.", show_default=False),
    ] = None,
    switch: Annotated[
        bool,
        typer.Option("--switch", help="Then use these; peers find people by both."),
    ] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="Forget those of earlier keys, when all have switched.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key's pseudonyms for all customers, asking only for who has none; may be repeated."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("pseudonyms"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with opened_node(home) as node:
        rotation = node.rotation()
        chosen = epoch if epoch is not None else node.pseudonym_keys.newest().epoch
        with Progress(*columns, console=console.err, disable=as_json) as progress:
            task = progress.add_task("", total=None)
            done = rotation.enrol(
                chosen,
                lambda made, to_do: progress.update(task, completed=made, total=to_do),
            )
        renamed = rotation.switch(chosen, now_ms()) if switch else 0
        if retire:
            rotation.retire(now_ms())
    if as_json:
        console.print_json(
            {
                "epoch": done.epoch,
                "people": len(done.pseudonyms),
                "asked": done.asked,
                "replaced_trustees": done.failed,
                "renamed": renamed,
            }
        )
        return
    console.out.print(
        f"{len(done.pseudonyms):,} customers have pseudonyms of epoch {done.epoch}; "
        f"{done.asked:,} were asked for"
    )
    for name, code in sorted(done.failed.items()):
        console.out.print(f"  [yellow]{name} was replaced: {code}[/yellow]")
    if switch:
        console.out.print(f"{renamed:,} people are named by them from now on")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(epilog=EXAMPLE)(enrol)
