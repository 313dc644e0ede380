"""`credence coordinator regulator`: who may open the regulator's console of the network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import console
from api.cli.homes import opened_coordinator
from api.cli.options import AsJson, CoordinatorHome
from api.cli.times import now_ms

if TYPE_CHECKING:
    from coordinator.browser_tokens import IssuedLink
    from coordinator.oversight.access import RegulatorAccess

app = typer.Typer(
    help="Who may open the regulator's console of the network.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Login = Annotated[str, typer.Option("--login", help="Sign-in name.", show_default=False)]


@app.command(
    epilog="Example: credence coordinator regulator add ./coordinator --login rita "
    "--name 'Rita Ho, Credit Bureau Supervision'"
)
def add(
    home: CoordinatorHome,
    login: Login,
    name: Annotated[str, typer.Option(help="Name and office.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Add a regulator; prints the link with which they make their passkey, once."""
    with _access(home) as (access, origin):
        _show(access.add(login, name), origin, as_json)


@app.command(epilog="Example: credence coordinator regulator link ./coordinator --login rita")
def link(home: CoordinatorHome, login: Login, as_json: AsJson = False) -> None:
    """Print a new link for somebody who lost their passkey; what they had opens nothing more."""
    with _access(home) as (access, origin):
        _show(access.link(login), origin, as_json)


@app.command(epilog="Example: credence coordinator regulator close ./coordinator --login rita")
def close(home: CoordinatorHome, login: Login, as_json: AsJson = False) -> None:
    """Close an account; it opens nothing from the next request on."""
    with _access(home) as (access, _):
        access.close(login)
    if as_json:
        console.print_json({"login": login})
    else:
        console.out.print(f"the account of [bold]{login}[/bold] is closed from now on")


@app.command("list", epilog="Example: credence coordinator regulator list ./coordinator")
def list_(home: CoordinatorHome, as_json: AsJson = False) -> None:
    """List the regulators, closed accounts too."""
    from rich.markup import escape

    with _access(home) as (access, _):
        rows = [
            {
                "regulator_id": one.regulator_id,
                "login": one.login,
                "name": one.name,
                "created_at_ms": one.created_at_ms,
                "closed_at_ms": one.closed_at_ms,
            }
            for one in access.every()
        ]
    if as_json:
        console.print_json(rows)
        return
    for row in rows:
        state = "closed" if row["closed_at_ms"] else "open"
        console.out.print(f"{row['login']:<20} {escape(str(row['name']))}  {state}")
    if not rows:
        console.out.print("no regulator yet: credence coordinator regulator add HOME --login NAME")


def _show(issued: "IssuedLink", origin: str, as_json: bool) -> None:
    address = f"{origin}/regulator/enrol?token={issued.token}"
    if as_json:
        console.print_json({"link": address, "expires_at_ms": issued.expires_at_ms})
        return
    console.out.print(address, soft_wrap=True, markup=False)
    console.err.print(
        "one use, within a day; lets its holder make the passkey that opens the console",
        style="dim",
    )


@contextmanager
def _access(home: Path) -> Iterator[tuple["RegulatorAccess", str]]:
    from api.http.operator.face import origin_of, passkey_origin, regulator_access

    with opened_coordinator(home) as coordinator:
        origin = origin_of(coordinator.settings)
        yield regulator_access(coordinator, now_ms, origin), passkey_origin(origin)
