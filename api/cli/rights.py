"""`credence node rights`: what people ask for at the desk, and the answer, from a terminal."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import utc_day

if TYPE_CHECKING:
    from node.parts import Node
    from node.rights.steps import Clerk
    from node.storage.rights import Request

app = typer.Typer(
    help="What people ask about their data, by deadline, and the desk's answer.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Staff = Annotated[
    str,
    typer.Option("--as", help="Sign-in name of the member of staff who acts.", show_default=False),
]


@app.command("list", epilog="Example: credence node rights list ./bank-a --as anna --json")
def list_(
    home: NodeHome,
    staff: Staff,
    kind: Annotated[
        str | None,
        typer.Option(help="dispute, correction, deletion, review or access.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what waits, the one due first at the top; it names nobody."""
    from consent.rights import Kind

    if kind is not None and kind not in set(Kind):
        raise console.usage_error(f"a kind is one of {', '.join(Kind)}")
    with opened_node(home) as node:
        clerk = _clerk(node, staff)
        found = node.rights.desk.waiting(clerk, *([] if kind is None else [Kind(kind)]))
        now_ms = node.rights.clock()
    rows = [_row(one, now_ms) for one in found]
    if as_json:
        console.print_json({"requests": rows})
        return
    _print_table(rows)
    late = sum(row["overdue"] for row in rows)
    console.out.print(f"{len(rows)} waiting, {late} overdue" if rows else "nothing waits")


@app.command(
    epilog="Example: credence node rights answer ./bank-a rgt_... --as anna --action reject "
    "--text 'We looked: the statement of May shows it.'"
)
def answer(
    home: NodeHome,
    request_id: Annotated[str, typer.Argument(help="The request's id.", show_default=False)],
    staff: Staff,
    action: Annotated[
        str,
        typer.Option(
            help="answer, reject, propose, approve, return, close, refuse, take, uphold, change "
            "or fulfil.",
            show_default=False,
        ),
    ],
    text: Annotated[str, typer.Option(help="What the person is told, in writing.")] = "",
    value: Annotated[
        float | None,
        typer.Option(help="Of a proposed correction; left out: nothing on record."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take a step; a second member of staff has to agree where data is changed."""
    from node.rights.steps import Action

    if action not in set(Action):
        raise console.usage_error(f"an action is one of {', '.join(Action)}")
    with opened_node(home) as node:
        clerk = _clerk(node, staff)
        after = node.rights.act(clerk, request_id, Action(action), text, value)
        row = _row(after, node.rights.clock())
    if as_json:
        console.print_json(row)
        return
    console.out.print(f"[bold]{row['request_id']}[/bold] is now {row['state']}")


def _row(one: "Request", now_ms: int) -> dict[str, Any]:
    return {
        "request_id": one.request_id,
        "kind": one.kind.value,
        "state": one.state.value,
        "origin": one.origin,
        "source": one.source,
        "signal": one.signal,
        "opened_at_ms": one.opened_at_ms,
        "due_at_ms": one.due_at_ms,
        "overdue": one.ended_at_ms is None and one.due_at_ms <= now_ms,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for title in ("request", "kind", "item", "state", "due"):
        table.add_column(title, no_wrap=True)
    for row in rows:
        due = utc_day(row["due_at_ms"])
        table.add_row(
            row["request_id"],
            row["kind"],
            row["signal"],
            row["state"],
            f"[red]{due} overdue[/red]" if row["overdue"] else due,
        )
    console.out.print(table)


def _clerk(node: "Node", name: str) -> "Clerk":
    """The member of staff by that sign-in name, with the roles that they have now."""
    from node.people.sessions import DESK
    from node.rights.steps import Clerk
    from node.storage import people

    with node.database.read() as connection:
        account = people.by_login(connection, DESK, name)
    if account is None or account.closed_at_ms is not None:
        raise console.usage_error("--as names nobody of this node's staff")
    return Clerk(account.account_id, frozenset(account.roles.split()))
