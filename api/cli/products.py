"""`credence client product`: what clients may ask for by name."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome

if TYPE_CHECKING:
    from node.bootstrap import Node
    from node.storage.products import ProductRow

EVERYBODY = "every client"
app = typer.Typer(
    help="What clients may ask for by name.", no_args_is_help=True, rich_markup_mode="rich"
)

Name = Annotated[str, typer.Option(help="Name of the product.", show_default=False)]
ForClient = Annotated[
    str | None,
    typer.Option("--client", help="Whose it is. Default: every client's.", show_default=False),
]


@app.command(
    "set",
    epilog="Example: credence client product set ./bank-a --name leasing --mandatory payments",
)
def set_product(
    home: NodeHome,
    name: Name,
    client: ForClient = None,
    purpose: Annotated[
        list[str] | None,
        typer.Option(help="score or monitor; repeat. Default: score.", show_default=False),
    ] = None,
    mandatory: Annotated[
        list[str] | None,
        typer.Option(help="A holder that must give signals; repeat.", show_default=False),
    ] = None,
    may_skip: Annotated[
        bool, typer.Option("--may-skip", help="Score all the same without a mandatory holder.")
    ] = False,
    max_age_s: Annotated[
        int | None,
        typer.Option(help="Ask again for signals older than so many seconds.", show_default=False),
    ] = None,
) -> None:
    """Set up a product, or change it."""
    from node.storage.products import ProductRow

    with opened_node(home) as node:
        row = ProductRow(
            client_id=_client_id(node, client),
            product=name,
            purposes=frozenset(purpose or ("score",)),
            mandatory=frozenset(mandatory or ()),
            may_skip=may_skip,
            max_age_s=max_age_s,
        )
        node.around_scores.products.put(row)
    console.out.print(f"product {name} set for {client or EVERYBODY}", markup=False)


@app.command("drop", epilog="Example: credence client product drop ./bank-a --name leasing")
def drop_product(home: NodeHome, name: Name, client: ForClient = None) -> None:
    """Take a product away."""
    with opened_node(home) as node:
        node.around_scores.products.drop(_client_id(node, client), name)
    console.out.print(f"product {name} dropped for {client or EVERYBODY}", markup=False)


@app.command("list", epilog="Example: credence client product list ./bank-a --json")
def list_products(
    home: NodeHome,
    as_json: AsJson = False,
) -> None:
    """Show all products."""
    with opened_node(home) as node:
        rows = [_shown(row) for row in node.around_scores.products.every()]
    if as_json:
        console.print_json(rows)
        return
    for row in rows:
        must = ", ".join(row["mandatory"]) or "nobody"
        age = "their data life" if row["max_age_s"] is None else f"{row['max_age_s']} s"
        console.out.print(
            f"{row['product']:<16} {row['client_id'] or EVERYBODY:<32} for "
            f"{', '.join(row['purposes'])}; needs {must}; signals up to {age}",
            markup=False,
        )


def _client_id(node: "Node", name: str | None) -> str:
    from node.storage.products import EVERY_CLIENT
    from protocols.errors import NotFound

    if name is None:
        return EVERY_CLIENT
    for row in node.clients.every():
        if name in {row.name, row.client_id}:
            return row.client_id
    raise NotFound(f"no client {name!r}", next_step="See `credence client list HOME`.")


def _shown(row: "ProductRow") -> dict[str, Any]:
    return {
        "product": row.product,
        "client_id": row.client_id,
        "purposes": sorted(row.purposes),
        "mandatory": sorted(row.mandatory),
        "may_skip": row.may_skip,
        "max_age_s": row.max_age_s,
    }
