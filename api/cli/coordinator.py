"""`credence coordinator`: found a network, run it, invite members, see how it is."""

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli import campaign, console, incidents, members, models, regulators, schedule, watch
from api.cli.homes import opened_coordinator
from api.cli.options import AsJson, CoordinatorHome
from api.cli.stopping import Parent
from api.cli.times import now_ms

app = typer.Typer(
    help="Found and run the coordinator of a network.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command(
    epilog="Example: credence coordinator init ./coordinator --name demo "
    "--listen-members 127.0.0.1:7400 --listen-enrolment 127.0.0.1:7401"
)
def init(
    home: CoordinatorHome,
    name: Annotated[str, typer.Option(help="Name of the network, lower case.")] = "credence",
    listen_members: Annotated[
        str, typer.Option(help="host:port where members are served over mutual TLS.")
    ] = "127.0.0.1:7400",
    listen_enrolment: Annotated[
        str, typer.Option(help="host:port where invited nodes join.")
    ] = "127.0.0.1:7401",
    members_endpoint: Annotated[
        str | None, typer.Option(help="What members dial, when it differs.", show_default=False)
    ] = None,
    enrolment_endpoint: Annotated[
        str | None,
        typer.Option(help="What invited nodes dial, when it differs.", show_default=False),
    ] = None,
    listen_console: Annotated[
        str,
        typer.Option(help="host:port of the operator's console; empty: none."),
    ] = "127.0.0.1:7402",
    as_json: AsJson = False,
) -> None:
    """Make a new network: its CA, signing key, database, first directory and catalogue."""
    from coordinator.bootstrap import init_coordinator
    from coordinator.settings import make_settings

    settings = make_settings(
        name=name,
        listen_members=listen_members,
        listen_enrolment=listen_enrolment,
        members_endpoint=members_endpoint,
        enrolment_endpoint=enrolment_endpoint,
        listen_console=listen_console,
    )
    init_coordinator(home, settings)
    with opened_coordinator(home) as coordinator:
        key = coordinator.keys.directory.verify_key.bytes.hex()
    if as_json:
        console.print_json({"home": str(home), "name": name, "directory_key": key})
        return
    console.out.print(f"network [bold]{name}[/bold] founded in {home}", soft_wrap=True)
    console.out.print(f"  directory key {key}", style="dim", soft_wrap=True)
    console.out.print(f"next: credence coordinator run {home}", soft_wrap=True)


@app.command(epilog="Example: credence coordinator run ./coordinator")
def run(
    home: CoordinatorHome,
    parent: Parent = None,
) -> None:
    """Serve the network until interrupted."""
    from api.cli import logs
    from api.cli.stopping import stop_event
    from api.http.operator.face import console_face
    from coordinator.process import Ports
    from coordinator.process import run as run_process

    def ready(ports: Ports) -> None:
        console.out.print(
            f"coordinator ready: members on port {ports.members}, "
            f"enrolment on port {ports.enrolment}; Ctrl-C stops it",
            soft_wrap=True,
        )

    logs.configure()
    run_process(
        home,
        stop_event(parent=parent),
        ready,
        lambda coordinator: console_face(coordinator, str(home.resolve())),
    )


members.register(app)
app.add_typer(campaign.app, name="campaign")
app.add_typer(schedule.app, name="schedule")
app.add_typer(watch.app, name="watch")
app.add_typer(regulators.app, name="regulator")
app.add_typer(incidents.incident_app("coordinator", incidents.of_coordinator), name="incident")
app.add_typer(models.app, name="models")


@app.command("console", epilog="Example: credence coordinator console ./coordinator")
def console_link(
    home: CoordinatorHome,
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="Sign every browser out instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a link that opens the operator's console, once, within ten minutes.

    It opens the console in one browser for twelve hours. Whoever has the link can use it: open it
    here, or hand it over on a safe way.
    """
    from api.http.operator.face import link_of, origin_of
    from coordinator.console.access import ConsoleAccess
    from coordinator.home import is_running

    with opened_coordinator(home) as coordinator:
        access = ConsoleAccess(coordinator.database, coordinator.audit, now_ms)
        if end_sessions:
            _tell_ended(access.end_all(), as_json=as_json)
            return
        origin = origin_of(coordinator.settings)
        issued = access.issue()
    address, running = link_of(origin, issued.token), is_running(home)
    if as_json:
        console.print_json(
            {"link": address, "expires_at_ms": issued.expires_at_ms, "running": running}
        )
        return
    console.out.print(address, soft_wrap=True, markup=False)
    console.err.print(
        "one use, within ten minutes; opens the console for twelve hours", style="dim"
    )
    if not running:
        console.err.print(f"first start it: credence coordinator run {home}", soft_wrap=True)


def _tell_ended(ended: int, *, as_json: bool) -> None:
    if as_json:
        console.print_json({"sessions_ended": ended})
    else:
        console.out.print(f"{ended} sessions ended; links that were not used open nothing")


@app.command(epilog="Example: credence coordinator status ./coordinator")
def status(home: CoordinatorHome, as_json: AsJson = False) -> None:
    """Show whether it runs, the network's documents, the newest campaign and the log."""
    from audit.witness_view import witness_line

    facts = _status(home)
    if as_json:
        console.print_json(facts)
        return
    running = "[green]running[/green]" if facts["running"] else "[yellow]not running[/yellow]"
    console.out.print(f"[bold]{facts['name']}[/bold]  {running}")
    campaign = facts["campaign"]
    lines = {
        "members": facts["endpoints"]["members"],
        "enrolment": facts["endpoints"]["enrolment"],
        "directory": f"version {facts['directory_version']}, {facts['members']} members",
        "catalogue": f"version {facts['catalogue_version']}",
        "invitations": f"{facts['invitations']} open",
        "campaign": "none"
        if campaign is None
        else f"{campaign['campaign_id']}: {campaign['state']}, {campaign['rounds']} rounds "
        f"{campaign['detail']}",
        "bundles": ", ".join(facts["bundles"]) or "none",
        "champion": facts["champion"] or "none",
        "audit": f"{facts['audit']['size']} leaves, root {facts['audit']['root']}",
        "witnesses": witness_line(facts["witnesses"]),
    }
    for name, text in lines.items():
        console.out.print(f"  {name:<12} {text}", soft_wrap=True, markup=False)


def _status(home: Path) -> dict[str, Any]:
    from coordinator.home import is_running
    from coordinator.status import summary

    with opened_coordinator(home) as coordinator:
        return {"running": is_running(home), **summary(coordinator, now_ms())}
