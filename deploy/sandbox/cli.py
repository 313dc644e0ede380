"""`credence demo`: the whole network on this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli import console

if TYPE_CHECKING:
    from deploy.sandbox.layout import Layout
    from deploy.sandbox.portal import Invitation
    from deploy.sandbox.run import Options

EPILOG = (
    "Example: credence demo --once --json report.json\n\n"
    "Example: credence demo --data default-of-credit-card-clients.csv --epsilon 1\n\n"
    "Example: credence demo --quick"
)


def demo(
    data: Annotated[
        Path | None,
        typer.Option(help="CSV of real clients (UCI default of credit card clients)."),
    ] = None,
    subjects: Annotated[
        int, typer.Option(min=600, max=200_000, help="Size of the synthetic population.")
    ] = 12_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the population and the split.")] = 1,
    consent: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Share of people who consent.")
    ] = 0.8,
    epsilon: Annotated[
        float, typer.Option(min=0.05, max=10.0, help="Most that training may spend on anybody.")
    ] = 3.0,
    delta: Annotated[float, typer.Option(min=1e-12, max=1e-3, help="At this delta.")] = 1e-5,
    rounds: Annotated[
        int | None, typer.Option(min=2, max=2000, help="Training rounds.", show_default=False)
    ] = None,
    relayed: Annotated[
        list[str] | None,
        typer.Option(
            help="A member that accepts no connection and is reached through the relay; repeat.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", help="Where the sandbox lives.")] = Path(
        "sandbox"
    ),
    keep: Annotated[
        bool, typer.Option("--keep", help="Start the sandbox that is there, without the job.")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset/--no-reset", help="Replace the sandbox that is there.")
    ] = True,
    once: Annotated[
        bool, typer.Option("--once", help="Run the main job, then stop everything.")
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="For developers: three nodes, seven personas, no training; seconds."
        ),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the report as JSON to this file.")
    ] = None,
) -> None:
    """Run a coordinator and five nodes here, and show the whole main job on them."""
    from api.cli import logs
    from deploy.sandbox import layout
    from deploy.sandbox.lock import only_sandbox
    from deploy.sandbox.run import Options

    logs.quiet()
    if json_file is not None:
        _check_writable(json_file)
    options = Options(
        data=data,
        subjects=subjects,
        seed=seed,
        consent_share=consent,
        epsilon=epsilon,
        delta=delta,
        rounds=rounds,
        relayed=tuple(relayed or ()),
    )
    _check_data(options)
    root = directory.resolve()
    if keep:
        layout.load(root)  # before anything is made there
    with only_sandbox(root):
        if keep:
            _start_again(root, once=once)
        elif quick:
            _run_quick(root, options, reset=reset, once=once, json_file=json_file)
        else:
            _run(root, options, reset=reset, once=once, json_file=json_file)


def _run(
    root: Path, options: "Options", *, reset: bool, once: bool, json_file: Path | None
) -> None:
    from deploy.sandbox import layout
    from deploy.sandbox.job import run_main_job
    from deploy.sandbox.processes import Supervisor, stop_on_signals
    from deploy.sandbox.progress import Stages
    from deploy.sandbox.report import print_report
    from deploy.sandbox.run import Run

    placed = layout.create(root, reset=reset, relayed=options.relayed)
    console.err.print(f"[bold]Credence sandbox[/bold] in {root}\n")
    with Supervisor() as supervisor, stop_on_signals():
        run = Run(placed, options, supervisor, Stages(supervisor.sample_memory))
        report = run_main_job(run)
        console.err.print()
        print_report(report, console.out)
        if json_file is not None:
            _write_report(json_file, report)
        if not once:
            from deploy.sandbox.portal import invite

            _stay(placed, supervisor.wait, invite(run))


def _run_quick(
    root: Path, options: "Options", *, reset: bool, once: bool, json_file: Path | None
) -> None:
    from deploy.sandbox import layout
    from deploy.sandbox.personas import SILENT
    from deploy.sandbox.processes import Supervisor, stop_on_signals
    from deploy.sandbox.progress import Stages
    from deploy.sandbox.quick import MEMBERS, run_quick, silence
    from deploy.sandbox.run import Run

    placed = layout.create(root, reset=reset, institutions=MEMBERS, silent=[SILENT])
    console.err.print(f"[bold]Credence sandbox[/bold] in {root}\n")
    with silence(placed), Supervisor() as supervisor, stop_on_signals():
        found = run_quick(Run(placed, options, supervisor, Stages(supervisor.sample_memory)))
        _print_personas(found)
        if json_file is not None:
            _write_report(json_file, found)
        if not once:
            console.out.print("\nThe network stays up; Ctrl-C stops it all.")
            supervisor.wait()


def _print_personas(found: dict[str, Any]) -> None:
    first = found["personas"][0]
    console.out.print(f"\nAPI reference  {found['url']}/docs", highlight=False)
    console.out.print(f"client         {found['client_id']}, its key in {found['key']}\n",
                      highlight=False, soft_wrap=True)  # fmt: skip
    for one in found["personas"]:
        console.out.print(
            f"  {one['subject']}  {one['answer']}", highlight=False, markup=False, soft_wrap=True
        )
    console.out.print("  their consents are named alike: con_ in place of sub_\n", style="dim")
    console.out.print(
        f"credence score {found['url']} --client {found['client_id']} --key {found['key']} "
        f"--subject {first['subject']} --consent {first['consent']}",
        highlight=False,
        soft_wrap=True,
    )


def _start_again(root: Path, *, once: bool) -> None:
    from deploy.sandbox import layout, network
    from deploy.sandbox.processes import Supervisor, stop_on_signals
    from deploy.sandbox.quick import silence

    placed = layout.load(root)
    with silence(placed), Supervisor() as supervisor, stop_on_signals():
        network.start_witness(placed, supervisor)
        network.start_coordinator(placed, supervisor)
        network.start_nodes(placed, supervisor)
        if not once:
            _stay(placed, supervisor.wait)


def _stay(
    placed: "Layout", wait: Callable[[], None], invitation: "Invitation | None" = None
) -> None:
    from deploy.sandbox import network

    console.out.print("\nThe network stays up; Ctrl-C stops it all.")
    for member in placed.serving:
        console.out.print(f"  {member.name:<24} {member.http_url}/docs", highlight=False)
    if invitation is not None:
        console.out.print(
            f"\nThe portal of {invitation.bank}, as one of its customers: {invitation.address}\n"
            f"  customer number {invitation.customer_id}, code {invitation.code}\n",
            highlight=False,
            soft_wrap=True,
        )
        console.out.print(
            f"Their score, as a financing platform gets it:\n  {invitation.command}\n",
            highlight=False,
            soft_wrap=True,
        )
    console.out.print(
        f"  {'operator console':<24} {network.console_link(placed)}",
        highlight=False,
        soft_wrap=True,
    )
    console.out.print(
        "  (opens once, within ten minutes; then: "
        f"credence coordinator console {placed.coordinator_home})",
        style="dim",
        soft_wrap=True,
    )
    console.out.print(f"  credence coordinator status {placed.coordinator_home}", soft_wrap=True)
    wait()


def _write_report(path: Path, report: dict[str, Any]) -> None:
    """Whole or not at all, where a report may stand already."""
    text = json.dumps(report, indent=2) + "\n"
    if path.exists() and not path.is_file():  # a pipe or a terminal
        path.write_text(text)
        return
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _check_data(options: "Options") -> None:
    """Read the data before anything is started: a wrong file costs nobody a minute."""
    if options.data is not None:
        from deploy.sandbox import uci

        uci.load(options.data, options.seed)


def _check_writable(path: Path) -> None:
    from protocols.errors import InvalidInput

    there = path.exists()
    try:
        with path.open("a"):
            pass
        if not there:
            path.unlink()
    except OSError as error:
        raise InvalidInput(
            f"cannot write {path}: {error.strerror}", next_step="Give another file with --json."
        ) from error
