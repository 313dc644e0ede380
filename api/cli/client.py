"""`credence client`: which financing platforms may call a node's API."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console

if TYPE_CHECKING:
    from node.scoring.clients import Clients

app = typer.Typer(
    help="Let financing platforms call a node's API.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Home = Annotated[Path, typer.Argument(help="The node's home directory.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command(
    epilog="Example: credence client add ./bank-a --name 'Lending desk' --token-file ./desk.token"
)
def add(
    home: Home,
    name: Annotated[str, typer.Option(help="Name of the client, once.", show_default=False)],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="scores:read, scores:write or log:read; repeat. Default: the first two.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="Write the token there, readable by its owner only.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a client; its token is shown once and kept nowhere."""
    from node.scoring.clients import SCOPES

    with _clients(home) as clients:
        file = None if token_file is None else _create(token_file)
        try:
            row, token = clients.add(name, _now_ms(), scope or SCOPES)
        except BaseException:
            if token_file is not None and file is not None:
                os.close(file)
                token_file.unlink()
            raise
    if file is not None:
        with os.fdopen(file, "w") as opened:
            opened.write(token + "\n")
    shown = {"client_id": row.client_id, "name": row.name, "scopes": row.scopes.split()}
    if as_json:
        console.print_json(shown if token_file else shown | {"token": token})
    elif token_file is not None:
        console.out.print(f"client [bold]{row.name}[/bold] added; its token is in {token_file}")
    else:
        console.out.print(token, markup=False, soft_wrap=True)
        console.err.print("this is the token; it is not shown again", style="dim")


@app.command("list", epilog="Example: credence client list ./bank-a --json")
def list_clients(home: Home, as_json: AsJson = False) -> None:
    """List the clients, revoked ones too."""
    with _clients(home) as clients:
        rows = [
            {
                "client_id": row.client_id,
                "name": row.name,
                "scopes": row.scopes.split(),
                "created_at_ms": row.created_at_ms,
                "revoked_at_ms": row.revoked_at_ms,
            }
            for row in clients.every()
        ]
    if as_json:
        console.print_json(rows)
    elif not rows:
        console.out.print("no clients yet: credence client add HOME --name NAME")
    else:
        console.out.print(_table(rows))


@app.command(epilog="Example: credence client revoke ./bank-a --name 'Lending desk'")
def revoke(
    home: Home,
    name: Annotated[str, typer.Option(help="Name or id of the client.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Revoke a client; its next call is refused."""
    with _clients(home) as clients:
        row = clients.revoke(name, _now_ms())
    if as_json:
        console.print_json({"client_id": row.client_id, "name": row.name})
    else:
        console.out.print(f"client [bold]{row.name}[/bold] is revoked from now on")


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("client", "name", "scopes", "since", "revoked"):
        table.add_column(title)
    for row in rows:
        table.add_row(
            row["client_id"],
            row["name"],
            " ".join(row["scopes"]),
            _utc(row["created_at_ms"]),
            _utc(row["revoked_at_ms"]) if row["revoked_at_ms"] else "",
        )
    return table


@contextmanager
def _clients(home: Path) -> Iterator["Clients"]:
    from node.bootstrap import open_node

    node = open_node(home)
    try:
        yield node.clients
    finally:
        node.close()


def _create(path: Path) -> int:
    from protocols.errors import InvalidInput

    try:
        # Before the client is made: a token that cannot be written would be lost.
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInput(
            f"cannot write a new file {path}: {error.strerror}",
            next_step="Give a path that does not exist yet, in a directory you may write.",
        ) from error


def _now_ms() -> int:
    return int(time.time() * 1000)


def _utc(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at_ms / 1000))
