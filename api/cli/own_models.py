"""`credence node own-models`: models an institution keeps for its own decisions."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome

if TYPE_CHECKING:
    from node.own_models import Listed

app = typer.Typer(
    help="Models this institution keeps for its own decisions; they never leave the node.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

ModelId = Annotated[str, typer.Argument(help="Id of the kept model.", show_default=False)]


@app.command(epilog="Example: credence node own-models keep ./bank-a --use")
def keep(
    home: NodeHome,
    kind: Annotated[
        str,
        typer.Option(
            help="shared_fusion, own_fusion, woe_logistic, local_gbdt or expert_scorecard."
        ),
    ] = "shared_fusion",
    seed: Annotated[int, typer.Option(help="Of folds and fits.", min=0, max=2**32 - 1)] = 0,
    use: Annotated[bool, typer.Option("--use", help="Put it in use at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a model on this node's consented people and keep it, signed by this node."""
    from models.baselines.kept import KINDS
    from node.own_wiring import own_models

    if kind not in KINDS:
        raise console.usage_error(f"--kind {kind}: one of {', '.join(KINDS)}")
    with opened_node(home) as node, console.err.status("fitting"):
        kept = own_models(node).keep(kind, seed=seed, use=use)
    if as_json:
        console.print_json(kept.to_json())
        return
    _print([kept])
    if kept.card is not None and "own_auc" in kept.card.figures:
        figures = kept.card.figures
        console.out.print(
            f"own half {figures['own_auc']:.4f}; shared score {figures['shared_auc']:.4f}, which "
            "has seen these people under noise"
        )
    if not use:
        console.out.print(f"next: credence node own-models use {home} {kept.model_id}")


@app.command("list", epilog="Example: credence node own-models list ./bank-a")
def list_models(home: NodeHome, as_json: AsJson = False) -> None:
    """Show the kept models, and which may not decide any more."""
    from node.own_wiring import own_models

    with opened_node(home) as node:
        found = own_models(node).every()
    if as_json:
        console.print_json([one.to_json() for one in found])
    elif found:
        _print(found)
    else:
        console.out.print("no model is kept here; credence node own-models keep HOME makes one")


@app.command(epilog="Example: credence node own-models use ./bank-a own_...")
def use(home: NodeHome, model_id: ModelId, as_json: AsJson = False) -> None:
    """Put a kept model in use for this institution's own decisions."""
    from node.own_wiring import own_models

    with opened_node(home) as node:
        found = own_models(node).use(model_id)
    if as_json:
        console.print_json(found.to_json())
        return
    console.out.print(f"{model_id} is in use for own decisions")


@app.command(epilog="Example: credence node own-models remove ./bank-a own_...")
def remove(home: NodeHome, model_id: ModelId) -> None:
    """Delete a kept model; only the log's entry stays."""
    from node.own_wiring import own_models

    with opened_node(home) as node:
        own_models(node).remove(model_id)
    console.out.print(f"{model_id} is deleted")


@app.command(
    epilog="Example: credence node own-models score ./bank-a --subject sub_... --consent con_..."
)
def score(
    home: NodeHome,
    subject: Annotated[str, typer.Option(help="The subject's reference.", show_default=False)],
    consent: Annotated[str, typer.Option(help="The subject's consent.", show_default=False)],
    language: Annotated[str, typer.Option(help="en, zh-Hans or zh-Hant.")] = "en",
    as_json: AsJson = False,
) -> None:
    """Score a subject by the kept model in use, for this institution's own decision."""
    from node.own_wiring import own_decisions

    with opened_node(home) as node:
        found = own_decisions(node).decide(subject, consent, language)
    if as_json:
        console.print_json(found.to_json())
        return
    console.out.print(f"[bold]{found.points}[/bold]  probability of default {found.pd:.1%}")
    for _, text, points in found.reasons:
        console.out.print(f"  - {text} ({points:.0f} points)", markup=False)
    if found.network_points is not None and found.network_pd is not None:
        console.out.print(
            f"  the network's score: {found.network_points}, {found.network_pd:.1%} "
            f"({found.network_version})",
            style="dim",
            markup=False,
        )
    console.out.print(
        "For own decisions only: not private, not to be passed on.", style="dim", markup=False
    )


def _print(found: "list[Listed]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("model", "kind", "people", "AUC", "state"):
        table.add_column(name, justify="right" if name == "AUC" else "left", overflow="fold")
    for one in found:
        state = ", ".join(one.stale) if one.stale else "in use" if one.active else "ready"
        card = one.card
        table.add_row(
            one.model_id,
            "" if card is None else card.kind,
            "" if card is None else card.people,
            "" if card is None else f"{card.figures['auc']:.4f}",
            state,
        )
    console.out.print(table)
