"""`credence node baselines`: classic models beside the network's, on this node's own people."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import console

if TYPE_CHECKING:
    from models.baselines.compare import Comparison

EXAMPLE = "Example: credence node baselines ./bank-a --only woe_logistic --json"


def baselines(
    home: Annotated[Path, typer.Argument(help="The node's home directory.", show_default=False)],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="expert_scorecard, woe_logistic, decision_tree, random_forest, local_gbdt or "
            "fusion; repeat.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the split and the fits.", min=0, max=2**32 - 1)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Compare classic models on this node's own consented people; nothing leaves, nothing stays."""
    from api.cli import logs
    from models.baselines.compare import KINDS
    from node.baselines import compare_baselines
    from node.bootstrap import open_node

    if unknown := sorted(set(only or ()) - set(KINDS)):
        raise console.usage_error(f"--only {unknown[0]}: one of {', '.join(KINDS)}")
    logs.quiet()
    node = open_node(home)
    try:
        with console.err.status("fitting"):
            found = compare_baselines(node, seed, _now_ms, only or KINDS)
    finally:
        node.close()
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


def _now_ms() -> int:
    return int(time.time() * 1000)
