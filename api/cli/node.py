"""`credence node`: make a node, let it join, run it, feed it records, see how it is."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import (
    baselines,
    console,
    incidents,
    ledger,
    own_models,
    privacy,
    retention,
    rights,
    rotation,
    watch,
)
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.stopping import Parent
from api.cli.times import now_ms, utc

if TYPE_CHECKING:
    from fastapi import APIRouter

    from node.parts import Node

app = typer.Typer(
    help="Make, run and feed the node of an institution.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

FETCH_DEADLINE_S = 600.0

app.add_typer(rights.app, name="rights")
app.add_typer(retention.app, name="retention")
app.add_typer(incidents.incident_app("node", incidents.of_node), name="incident")
app.add_typer(own_models.app, name="own-models")
app.command("baselines", epilog=baselines.EXAMPLE)(baselines.baselines)
app.command("rotate-keys", epilog=rotation.EXAMPLE)(rotation.rotate_keys)
app.command("privacy", epilog=privacy.EXAMPLE)(privacy.privacy)
app.command("recover-ledger", epilog=ledger.EXAMPLE)(ledger.recover_ledger)
app.command("watch", epilog=watch.NODE_EXAMPLE)(watch.node_watch)


@app.command(
    epilog="Example: credence node init ./bank-a --member bank-a --name 'Harbour Bank' "
    "--role bank --holds credit_account"
)
def init(
    home: NodeHome,
    member: Annotated[str, typer.Option(help="Member id in the network.", show_default=False)],
    name: Annotated[str, typer.Option(help="Legal name.", show_default=False)],
    role: Annotated[
        str,
        typer.Option(
            help="bank, data_provider, public_record_publisher, licensed_agency, "
            "platform_operator or regulator."
        ),
    ] = "bank",
    holds: Annotated[
        list[str] | None,
        typer.Option(help="A source class whose records it keeps; repeat.", show_default=False),
    ] = None,
    listen: Annotated[str | None, typer.Option(help="host:port for members.")] = None,
    no_listen: Annotated[
        bool,
        typer.Option(
            "--no-listen",
            help="Accept no connection: members come through the coordinator's relay.",
        ),
    ] = False,
    http: Annotated[str | None, typer.Option(help="host:port of the HTTP API.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="What members dial, when it differs.", show_default=False)
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence number.", show_default=False)] = "",
    licence_until: Annotated[
        str | None,
        typer.Option(help="Last day of the licence, YYYY-MM-DD.", show_default=False),
    ] = None,
    contact: Annotated[
        str, typer.Option(help="For subjects and members.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a new node: its settings, its keys, its empty database."""
    from node.bootstrap import init_node

    if no_listen and (listen is not None or endpoint is not None):
        raise console.usage_error("--no-listen goes without --listen and --endpoint")
    settings = init_node(
        home,
        member_id=member,
        name=name,
        role=role,
        holds=holds or (),
        listen="" if no_listen else listen,
        http=http,
        endpoint=endpoint,
        licence=licence,
        licence_until=licence_until,
        contact=contact,
    )
    if as_json:
        console.print_json({"home": str(home), **settings.model_dump(mode="json")})
        return
    console.out.print(f"node [bold]{settings.member_id}[/bold] made in {home}")
    console.out.print(f"next: credence node join {home} --invitation TEXT")


@app.command(epilog="Example: credence node join ./bank-a --invitation 'credence-invite:...'")
def join(
    home: NodeHome,
    invitation: Annotated[
        str,
        typer.Option(help="The invitation's line, or a file that holds it.", show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Join a network: certificate, member directory, signal catalogue."""
    from api.cli import logs
    from node.bootstrap import join as join_network

    logs.quiet()
    joined = join_network(home, _invitation(invitation), now_ms())
    if as_json:
        console.print_json(
            {
                "member_id": joined.member_id,
                "directory_version": joined.directory_version,
                "members": joined.members,
            }
        )
        return
    console.out.print(
        f"[bold]{joined.member_id}[/bold] is a member: directory version "
        f"{joined.directory_version}, {joined.members} members"
    )
    console.out.print(f"next: credence node run {home}")


@app.command(epilog="Example: credence node run ./bank-a")
def run(
    home: NodeHome,
    parent: Parent = None,
) -> None:
    """Serve other members and the HTTP API until interrupted."""
    gc.disable()  # what starting makes stays; on again once it serves
    from api.cli import logs
    from api.cli.stopping import stop_event
    from api.http.app import create_app
    from api.http.late import LatePages, NodeFace
    from api.http.server import HttpServer
    from node.process import running

    logs.configure()
    stop = stop_event(parent=parent)

    def http(node: "Node") -> NodeFace:
        late = LatePages(lambda: _pages(node))
        return NodeFace(HttpServer(create_app(node, late=late), node.settings.http), late)

    with running(home, now_ms, http) as process:
        gc.enable()
        members = "through the relay" if process.port is None else f"on port {process.port}"
        console.out.print(
            f"{process.node.member_id} ready: members {members}, "
            f"HTTP at {process.node.settings.http}; Ctrl-C stops it"
        )
        console.out.file.flush()  # whoever reads a pipe waits for this line
        stop.wait()


def _pages(node: "Node") -> "Sequence[APIRouter]":
    from api.http.faces import faces_of

    return faces_of(node)


@app.command(epilog="Example: credence node ingest ./bank-a ./inbox/bank-a")
def ingest(
    home: NodeHome,
    directory: Annotated[
        Path, typer.Argument(help="Directory of canonical CSV files.", show_default=False)
    ],
    as_of: Annotated[
        str | None,
        typer.Option(help="Day that signals look back from, YYYY-MM-DD.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn records into signals; a full snapshot, all of it or nothing."""
    with opened_node(home) as node, console.err.status("reading") as progress:
        report = node.ingestion().ingest_directory(
            directory,
            now_ms=now_ms(),
            as_of_ms=_day_ms(as_of or node.settings.as_of),
            progress=lambda stage: progress.update(stage),
            enrolling=lambda done, to_do: progress.update(f"pseudonyms {done:,} of {to_do:,}"),
        )
    if as_json:
        console.print_json(
            {
                "as_of_ms": report.as_of_ms,
                "rows": dict(report.rows),
                "sha256": dict(report.sha256),
                "subjects": report.subjects,
                "outcomes": report.outcomes,
                "signals": {name: dict(counts) for name, counts in report.signals.items()},
                "audit_seq": report.audit_seq,
            }
        )
        return
    rows = ", ".join(f"{number:,} {table}" for table, number in report.rows.items())
    console.out.print(f"read {rows}")
    console.out.print(f"{report.subjects:,} subjects with {len(report.signals)} signals")


@app.command(epilog="Example: credence node fetch ./bank-a --purpose train")
def fetch(
    home: NodeHome,
    purpose: Annotated[str, typer.Option(help="score, train or monitor.")] = "train",
    as_json: AsJson = False,
) -> None:
    """Fetch the signals of all consenting customers from the holders their consents name."""
    if purpose not in {"score", "train", "monitor"}:
        raise console.usage_error("a purpose is score, train or monitor")
    with opened_node(home) as node:
        with node.database.read() as connection:
            people = node.consents.live_consents(connection, purpose)
        report = node.fetcher.fetch(people, purpose=purpose, deadline_s=FETCH_DEADLINE_S)
    if as_json:
        console.print_json(_fetched(report))
        return
    for one in report.holders:
        refused = ", ".join(f"{number:,} {code}" for code, number in one.refused.items())
        state = f"[yellow]{one.error}[/yellow]" if one.error else "complete"
        console.out.print(
            f"{one.holder}: {one.answered:,} of {one.asked:,} answered, "
            f"{refused or 'none refused'}, {one.unanswered:,} open; {state}"
        )


@app.command(epilog="Example: credence node status ./bank-a --json")
def status(home: NodeHome, as_json: AsJson = False) -> None:
    """Show whether it runs, its network, what it knows and released, and its log."""
    from node.home import is_running
    from node.status import summary

    with opened_node(home) as node:
        facts = {"running": is_running(home), **summary(node)}
    if as_json:
        console.print_json(facts)
        return
    _print_status(facts)


def _print_status(facts: dict[str, Any]) -> None:
    from audit.witness_view import witness_line

    running = "[green]running[/green]" if facts["running"] else "[yellow]not running[/yellow]"
    network, releases, privacy = facts["network"], facts["releases"], facts["privacy"]
    consents = ", ".join(f"{number:,} {state}" for state, number in facts["consents"].items())
    waiting = ", ".join(
        f"{number:,} for {to}" for to, number in facts["deliveries_waiting"].items()
    )
    console.out.print(f"[bold]{facts['member_id']}[/bold]  {facts['name']}  {running}")
    lines = {
        "members": facts["endpoints"]["members"] or "through the relay",
        "http": facts["endpoints"]["http"],
        "network": "not joined"
        if network is None
        else f"directory {network['directory_version']} with {network['members']} members, "
        f"catalogue {network['catalogue_version']}",
        "certificate": "none"
        if network is None
        else f"until {utc(network['certificate_until_ms'])}",
        "membership": "none" if network is None else _membership_line(network),
        "subjects": f"{facts['subjects']:,}, outcomes {facts['outcomes']:,}",
        "signals": f"{facts['signals']['own']:,} own, {facts['signals']['fetched']:,} fetched",
        "consents": consents or "none",
        "deliveries": waiting or "none waiting",
        "releases": f"{releases['out']:,} given, {releases['out_refused']:,} refused; "
        f"{releases['in']:,} received, {releases['in_refused']:,} declined",
        "model": facts["model"] or "none",
        "privacy": f"epsilon {privacy['epsilon']:.3g} of {privacy['max_epsilon']:.3g} "
        f"at delta {privacy['delta']:.0e}",
        "audit": f"{facts['audit']['size']:,} leaves, root {facts['audit']['root']}",
        "witnesses": witness_line(facts["witnesses"]),
    }
    for name, text in lines.items():
        console.out.print(f"  {name:<12} {text}", soft_wrap=True)
    for warning in network["warnings"] if network is not None else ():
        console.out.print(
            f"  [yellow]{warning['code']}[/yellow]: {warning['text']}", soft_wrap=True
        )


def _membership_line(network: dict[str, Any]) -> str:
    licence = network["licence"] or "no licence number"
    until_ms = network["licence_until_ms"]
    ends = "" if until_ms is None else f", until {utc(until_ms)}"
    return f"{network['status']}, {licence}{ends}"


def _fetched(report: Any) -> dict[str, Any]:
    return {
        "purpose": report.purpose,
        "asked": report.asked,
        "answered": report.answered,
        "requests": report.requests,
        "median_ms": round(report.median_ms, 2),
        "complete": report.complete,
        "holders": [
            {
                "holder": one.holder,
                "asked": one.asked,
                "answered": one.answered,
                "refused": dict(one.refused),
                "unanswered": one.unanswered,
                "error": one.error,
            }
            for one in report.holders
        ],
    }


def _invitation(given: str) -> str:
    from protocols.invitations import PREFIX

    if given.strip().startswith(PREFIX):
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise console.usage_error(
            f"--invitation is neither a line {PREFIX}... nor a file"
        ) from error


def _day_ms(day: str | None) -> int | None:
    from datetime import UTC, datetime

    if day is None:
        return None
    try:
        at = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise console.usage_error("--as-of is a day, YYYY-MM-DD") from error
    return int(at.timestamp() * 1000)
