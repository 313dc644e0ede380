"""`credence client`: which financing platforms may call a node's API."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import now_ms, utc

if TYPE_CHECKING:
    from node.access.clients import Clients
    from node.storage.clients import ClientRow
    from protocols.jose import PublicJwk

app = typer.Typer(
    help="Let financing platforms call a node's API.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Name = Annotated[str, typer.Option(help="Name or id of the client.", show_default=False)]
Jwks = Annotated[
    Path | None,
    typer.Option(help="A file with the client's public keys, a JWK Set.", show_default=False),
]
Generate = Annotated[
    Path | None,
    typer.Option(
        help="Make a key and write it there, a private JWK for the client, readable by its owner "
        "only.",
        show_default=False,
    ),
]


@app.command(
    epilog="Example: credence client add ./bank-a --name 'Lending desk' --generate ./desk.jwk"
)
def add(
    home: NodeHome,
    name: Annotated[str, typer.Option(help="Name of the client, once.", show_default=False)],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="scores:read, scores:write, batches:write, monitor:write, outcomes:write, "
            "webhooks:write or log:read; repeat. Default: the first two.",
            show_default=False,
        ),
    ] = None,
    jwks: Jwks = None,
    generate: Generate = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="For a plain token (setting plain_tokens): write it there, readable by its owner "
            "only.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a client: with its public keys, or with a key made for it, which is kept nowhere."""
    from node.access.presented import DEFAULT_SCOPES

    if sum(one is not None for one in (jwks, generate, token_file)) > 1:
        raise console.usage_error("give one of --jwks, --generate and --token-file")
    if jwks is not None or generate is not None:
        with _clients(home) as clients, _keys(jwks, generate) as keys:
            row = clients.add_with_keys(name, now_ms(), keys, scope or DEFAULT_SCOPES)
        shown = _shown(row) | {"kids": [key.kid for key in keys]}
        if as_json:
            console.print_json(shown)
        else:
            where = "" if generate is None else f"; its private key is in {generate}"
            console.out.print(f"client [bold]{row.name}[/bold] added as {row.client_id}{where}")
        return
    with _clients(home) as clients, _written(token_file) as write:
        row, token = clients.add(name, now_ms(), scope or DEFAULT_SCOPES)
        write(token + "\n")
    if as_json:
        console.print_json(_shown(row) if token_file else _shown(row) | {"token": token})
    elif token_file is not None:
        console.out.print(f"client [bold]{row.name}[/bold] added; its token is in {token_file}")
    else:
        console.out.print(token, markup=False, soft_wrap=True)
        console.err.print("this is the token; it is not shown again", style="dim")


@app.command(
    epilog="Example: credence client rotate ./bank-a --name 'Lending desk' --generate ./new.jwk"
)
def rotate(
    home: NodeHome,
    name: Name,
    jwks: Jwks = None,
    generate: Generate = None,
    overlap_hours: Annotated[
        float,
        typer.Option(
            help="How long the keys that are replaced still count. 0: not at all, and the access "
            "tokens that are out end too; for a key that was stolen.",
            min=0,
            max=90 * 24,
        ),
    ] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Replace a client's keys by those of a key set, or by one made for it."""
    if (jwks is None) == (generate is None):
        raise console.usage_error("give one of --jwks and --generate")
    overlap_ms = int(overlap_hours * 3_600_000)
    with _clients(home) as clients, _keys(jwks, generate) as keys:
        row, new, ending = clients.rotate(name, now_ms(), keys, overlap_ms)
    if as_json:
        console.print_json(_shown(row) | {"new": new, "ending": ending})
        return
    console.out.print(f"client [bold]{row.name}[/bold]: {len(new)} new keys, {len(ending)} ending")


@app.command(epilog="Example: credence client limit ./bank-a --name 'Lending desk' --rate 20")
def limit(
    home: NodeHome,
    name: Name,
    rate: Annotated[
        float | None,
        typer.Option(help="Calls a second in the long run.", show_default="the node's"),
    ] = None,
    burst: Annotated[
        int | None, typer.Option(help="Calls at once.", show_default="the node's")
    ] = None,
    daily_quota: Annotated[
        int | None, typer.Option(help="Calls a UTC day.", show_default="the node's")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set how often a client may call, from its next call on; what is not given is the node's."""
    with _clients(home) as clients:
        row = clients.limit(name, now_ms(), rate=rate, burst=burst, daily_quota=daily_quota)
    limits = {"rate": rate, "burst": burst, "daily_quota": daily_quota}
    if as_json:
        console.print_json(_shown(row) | limits)
        return
    own = ", ".join(f"{key} {value:g}" for key, value in limits.items() if value is not None)
    console.out.print(f"client [bold]{row.name}[/bold]: {own or 'the limits of the node'}")


@app.command("list", epilog="Example: credence client list ./bank-a --json")
def list_clients(home: NodeHome, as_json: AsJson = False) -> None:
    """List the clients, revoked ones too."""
    with _clients(home) as clients:
        rows = [_listed(clients, row) for row in clients.every()]
    if as_json:
        console.print_json(rows)
    elif not rows:
        console.out.print("no clients yet: credence client add HOME --name NAME")
    else:
        console.out.print(_table(rows))


@app.command(epilog="Example: credence client revoke ./bank-a --name 'Lending desk'")
def revoke(
    home: NodeHome,
    name: Name,
    as_json: AsJson = False,
) -> None:
    """Revoke a client; its next call is refused."""
    with _clients(home) as clients:
        row = clients.revoke(name, now_ms())
    if as_json:
        console.print_json({"client_id": row.client_id, "name": row.name})
    else:
        console.out.print(f"client [bold]{row.name}[/bold] is revoked from now on")


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("client", "name", "scopes", "shows", "since", "revoked"):
        table.add_column(title)
    for row in rows:
        table.add_row(
            row["client_id"],
            row["name"],
            " ".join(row["scopes"]),
            _key_line(row),
            utc(row["created_at_ms"]),
            utc(row["revoked_at_ms"]) if row["revoked_at_ms"] else "",
        )
    return table


@contextmanager
def _clients(home: Path) -> Iterator["Clients"]:

    with opened_node(home) as node:
        yield node.clients


@contextmanager
def _keys(jwks: Path | None, generate: Path | None) -> Iterator[Sequence["PublicJwk"]]:
    """The client's public keys; a private one that was made for it stays only if all goes well."""
    from protocols import jose

    if jwks is not None:
        with jwks.open("rb") as opened:
            data = opened.read(jose.MAX_JWKS_BYTES + 1)
        yield jose.parse_jwks(data)
        return
    private = jose.generate_private_jwk()
    with _written(generate) as write:
        write(json.dumps(private, indent=2) + "\n")
        yield (jose.parse_jwk(jose.public_part(private)),)


@contextmanager
def _written(path: Path | None) -> Iterator[Callable[[str], object]]:
    """Writes a secret to a new file before it counts; the file goes when the block fails."""
    if path is None:
        yield str
        return
    with os.fdopen(_create(path), "w") as opened:
        try:
            yield opened.write
            opened.flush()
            os.fsync(opened.fileno())
        except BaseException:
            path.unlink()
            raise


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


def _shown(row: "ClientRow") -> dict[str, Any]:
    return {"client_id": row.client_id, "name": row.name, "scopes": row.scopes.split()}


def _listed(clients: "Clients", row: "ClientRow") -> dict[str, Any]:
    keys = [
        {"kid": key.kid, "added_at_ms": key.added_at_ms, "until_ms": key.until_ms}
        for key in clients.keys_of(row.client_id)
    ]
    return {
        **_shown(row),
        "created_at_ms": row.created_at_ms,
        "revoked_at_ms": row.revoked_at_ms,
        "plain_token": row.token_sha256 is not None,
        "keys": keys,
        "limits": {"rate": row.rate, "burst": row.burst, "daily_quota": row.daily_quota},
    }


def _key_line(row: dict[str, Any]) -> str:
    if row["plain_token"]:
        return "plain token"
    at_ms = now_ms()
    ends = [key["until_ms"] for key in row["keys"]]
    staying = sum(one is None for one in ends)
    ending = sum(one is not None and at_ms < one for one in ends)
    return f"{staying} keys" + (f", {ending} ending" if ending else "")
