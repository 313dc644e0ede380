"""`credence node baselines`: classic models beside the network's, on this node's own people."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import now_ms

if TYPE_CHECKING:
    from models.baselines.compare import Comparison

EXAMPLE = "Example: credence node baselines ./bank-a --only woe_logistic --json"


def baselines(
    home: NodeHome,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="expert_scorecard, woe_logistic, decision_tree, random_forest, local_gbdt or "
            "fusion; repeat.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split and the fits.", min=0, max=2**32 - 1)] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare classic models on this node's own consented people; nothing leaves, nothing stays."""
    from models.baselines.compare import KINDS
    from node.baselines import compare_baselines

    if unknown := sorted(set(only or ()) - set(KINDS)):
        raise console.usage_error(f"--only {unknown[0]}: one of {', '.join(KINDS)}")
    with opened_node(home) as node, console.err.status("fitting"):
        found = compare_baselines(node, seed, now_ms, only or KINDS)
    if as_json:
        console.print_json(found.to_json())
        return
    _print(found)


def _print(found: "Comparison") -> None:
    from rich.table import Table

    console.out.print(
        f"fitted on {found.fitted:,} of this node's people, measured on {found.held_out:,} others"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    for name in ("AUC", "KS", "ECE"):
        table.add_column(name, justify="right")
    for line in found.lines:
        table.add_row(line.model, f"{line.auc:.4f}", f"{line.ks:.4f}", f"{line.ece:.4f}")
    console.out.print(table)
    console.out.print("Without differential privacy, for this node alone; no model was kept.")
