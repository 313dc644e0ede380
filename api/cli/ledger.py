"""`credence node recover-ledger`: go on after the newest privacy ledger is lost for good."""

import time
from pathlib import Path
from typing import Annotated

import typer

from api.cli import console

EXAMPLE = "Example: credence node recover-ledger ./bank-a --confirm bank-a"


def recover_ledger(
    home: Annotated[Path, typer.Argument(help="The node's home directory.", show_default=False)],
    confirm: Annotated[
        str,
        typer.Option(help="The node's member id, once more: it is meant.", show_default=False),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Count the whole privacy budget as spent, where the newest ledger is lost for good.

    A node whose database was put back refuses to train (`ledger_rolled_back`): what the lost lines
    had spent is not known. Bring the newest database back if there is any way. If there is none,
    this writes down that all of the budget may have been spent: the node trains nobody any more,
    and its ledger says why. There is no way back.
    """
    from api.cli import logs
    from node.bootstrap import open_node
    from node.federation.ledger_wiring import build_recovery

    logs.quiet()
    node = open_node(home)
    try:
        found = build_recovery(node).recover(confirm, int(time.time() * 1000))
    finally:
        node.close()
    if as_json:
        console.print_json(dict(found.__dict__))
        return
    console.out.print(
        f"{found.lost_lines} lines are lost; the ledger has {found.lines} lines now and counts "
        f"epsilon {found.epsilon:.2f} of {found.ceiling:g}: nobody is trained on any more",
        soft_wrap=True,
    )
