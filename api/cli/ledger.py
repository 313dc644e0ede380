"""`credence node recover-ledger`: go on after the newest privacy ledger is lost for good."""

from typing import Annotated

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import now_ms

EXAMPLE = "Example: credence node recover-ledger ./bank-a --confirm bank-a"


def recover_ledger(
    home: NodeHome,
    confirm: Annotated[
        str,
        typer.Option(help="The node's member id, once more: it is meant.", show_default=False),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Count the whole privacy budget as spent, where the newest ledger is lost for good.

    A node whose database was put back refuses to train (`ledger_rolled_back`): what the lost lines
    had spent is not known. Bring the newest database back if there is any way. If there is none,
    this writes down that all of the budget may have been spent: the node trains nobody any more,
    and its ledger says why. There is no way back.
    """
    from node.federation.ledger_wiring import build_recovery

    with opened_node(home) as node:
        found = build_recovery(node).recover(confirm, now_ms())
    if as_json:
        console.print_json(dict(found.__dict__))
        return
    console.out.print(
        f"{found.lost_lines} lines are lost; the ledger has {found.lines} lines now and counts "
        f"epsilon {found.epsilon:.2f} of {found.ceiling:g}: nobody is trained on any more",
        soft_wrap=True,
    )
