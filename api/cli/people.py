"""`credence node portal-code` and `credence node staff`: codes that open accounts, and staff."""

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
    from node.people.accounts import IssuedCode
    from node.people.wiring import People

staff_app = typer.Typer(
    help="Who may sign in at the institution's desk.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Login = Annotated[str, typer.Option("--login", help="Sign-in name.", show_default=False)]
Roles = Annotated[
    list[str],
    typer.Option(
        "--role", help="desk, privacy_officer, admin or regulator; repeat.", show_default=False
    ),
]


def register(node_app: typer.Typer) -> None:
    """Add the commands to `credence node`."""
    node_app.command(
        "portal-code", epilog="Example: credence node portal-code ./bank-a --customer A-000123"
    )(portal_code)
    node_app.add_typer(staff_app, name="staff")


def portal_code(
    home: NodeHome,
    customer: Annotated[str, typer.Option(help="Customer number.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Issue the code with which a customer opens their portal account, once.

    It replaces any earlier one. When the account exists already, using the code takes away its
    passkeys and password and ends its sessions: issue it to somebody who lost them.
    """
    with _people(home) as people:
        issued = people.accounts.issue_for_customer(customer)
        address = f"{people.origins[0]}/portal/activate"
    _show(issued, address, as_json)


@staff_app.command(
    epilog="Example: credence node staff add ./bank-a --login mei --name 'Mei Chen' --role desk"
)
def add(
    home: NodeHome,
    login: Login,
    name: Annotated[str, typer.Option(help="Name, as colleagues see it.", show_default=False)],
    role: Roles,
    as_json: AsJson = False,
) -> None:
    """Add a member of staff; prints the code that opens their account, once."""
    with _people(home) as people:
        row, issued = people.staff.add(login, name, role)
        address = f"{people.origins[0]}/desk/activate"
    _show(issued, address, as_json, staff_id=row.account_id, login=row.login, roles=row.roles)


@staff_app.command("list", epilog="Example: credence node staff list ./bank-a")
def list_staff(home: NodeHome, as_json: AsJson = False) -> None:
    """List the staff, closed accounts too."""
    with _people(home) as people:
        rows = [
            {
                "staff_id": row.account_id,
                "login": row.login,
                "name": row.name,
                "roles": row.roles.split(),
                "created_at_ms": row.created_at_ms,
                "closed_at_ms": row.closed_at_ms,
            }
            for row in people.staff.every()
        ]
    if as_json:
        console.print_json(rows)
    elif not rows:
        console.out.print("no staff yet: credence node staff add HOME --login NAME --role desk")
    else:
        console.out.print(_table(rows))


@staff_app.command(epilog="Example: credence node staff roles ./bank-a --login mei --role admin")
def roles(home: NodeHome, login: Login, role: Roles, as_json: AsJson = False) -> None:
    """Give these roles and no others, from their next request on."""
    with _people(home) as people:
        people.staff.set_roles(login, role)
    if as_json:
        console.print_json({"login": login, "roles": sorted(set(role))})
    else:
        console.out.print(f"[bold]{login}[/bold] has {', '.join(sorted(set(role)))} from now on")


@staff_app.command(epilog="Example: credence node staff code ./bank-a --login mei")
def code(home: NodeHome, login: Login, as_json: AsJson = False) -> None:
    """Issue a new code to somebody who lost what opens their account."""
    with _people(home) as people:
        issued = people.staff.new_code(login)
        address = f"{people.origins[0]}/desk/activate"
    _show(issued, address, as_json, login=login)


@staff_app.command(epilog="Example: credence node staff close ./bank-a --login mei")
def close(home: NodeHome, login: Login, as_json: AsJson = False) -> None:
    """Close an account; its sessions end with their next request."""
    with _people(home) as people:
        people.staff.close(login)
    if as_json:
        console.print_json({"login": login})
    else:
        console.out.print(f"the account of [bold]{login}[/bold] is closed from now on")


def _show(issued: "IssuedCode", address: str, as_json: bool, **facts: str) -> None:
    if as_json:
        known = {"expires_at_ms": issued.expires_at_ms, "address": address, **facts}
        console.print_json({"code": issued.code, **known})
        return
    console.out.print(issued.code, markup=False)
    console.err.print(
        f"opens the account once, until {utc(issued.expires_at_ms)}, at {address}; "
        "it is not shown again",
        style="dim",
        soft_wrap=True,
    )


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("sign-in name", "name", "roles", "since", "closed"):
        table.add_column(title)
    for row in rows:
        table.add_row(
            row["login"],
            escape(row["name"]),
            " ".join(row["roles"]),
            utc(row["created_at_ms"]),
            utc(row["closed_at_ms"]) if row["closed_at_ms"] else "",
        )
    return table


@contextmanager
def _people(home: Path) -> Iterator["People"]:

    with opened_node(home) as node:
        yield node.people
