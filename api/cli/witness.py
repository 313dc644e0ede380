"""`credence witness`: a witness of one's own; and what operators do about witnesses.

A supervisor, an auditor or any other organisation runs a witness with two commands; the network's
members and the coordinator are witnesses of each other without any.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import console
from api.cli.homes import opened_coordinator, opened_node
from api.cli.options import AsJson
from api.cli.stopping import Parent
from api.cli.times import now_ms

if TYPE_CHECKING:
    from audit.database import Database
    from audit.witness_keeper import LogKeeper
    from audit.witness_store import EvidenceRow
    from coordinator.bootstrap import Coordinator
    from node.parts import Node

app = typer.Typer(help="Run a witness outside the network.", no_args_is_help=True)

Home = Annotated[Path, typer.Argument(help="The witness's home directory.", show_default=False)]
ProcessHome = Annotated[
    Path,
    typer.Argument(help="Home of a node or coordinator.", metavar="HOME", show_default=False),
]


@app.command(
    epilog="Example: credence witness init ./w --name regulator.example/w1 "
    "--organisation regulator --directory-key HEX --listen 127.0.0.1:7600"
)
def init(
    home: Home,
    name: Annotated[str, typer.Option(help="Key name of its cosignatures, like a URL.")],
    organisation: Annotated[str, typer.Option(help="Who runs it, one word.")],
    directory_key: Annotated[
        str, typer.Option(help="The network's directory key, as its operator publishes it.")
    ],
    listen: Annotated[str, typer.Option(help="host:port of its HTTP face.")] = "127.0.0.1:7600",
    as_json: AsJson = False,
) -> None:
    """Make a witness: its key and its settings."""
    from audit.witness_home import WitnessHome, WitnessSettings, init_witness

    init_witness(home, WitnessSettings(name, organisation, listen, directory_key))
    opened = WitnessHome(home, now_ms)
    try:
        line, key = opened.line, opened.key.encode()
    finally:
        opened.close()
    if as_json:
        console.print_json({"home": str(home), "key": key, "witnesses": line})
        return
    console.say(f"witness of {organisation} in {home}")
    console.say(f"  what a log writes into `witnesses`: {line}")
    console.say(f"next: credence witness run {home}")


@app.command(epilog="Example: credence witness run ./w")
def run(home: Home, parent: Parent = None) -> None:
    """Cosign what logs bring, until interrupted."""
    from api.cli import logs
    from api.cli.stopping import stop_event
    from api.http.server import HttpServer
    from api.http.witness import witness_app
    from audit.witness_home import WitnessHome

    logs.configure()
    stop = stop_event(parent=parent)
    opened = WitnessHome(home, now_ms)
    try:
        server = HttpServer(witness_app(opened), opened.settings.listen)
        try:
            server.start()
            console.out.print(f"witness ready at {opened.settings.listen}; Ctrl-C stops it")
            console.out.file.flush()
            stop.wait()
        finally:
            server.stop()
    finally:
        opened.close()


@app.command(epilog="Example: credence witness status ./w")
def status(home: Home, as_json: AsJson = False) -> None:
    """The logs that it watches, how far, and forks that it saw."""
    from audit.witness_home import WitnessHome
    from audit.witness_store import all_held, evidence

    opened = WitnessHome(home, now_ms)
    try:
        with opened.database.read() as connection:
            held, kept = all_held(connection), evidence(connection)
    finally:
        opened.close()
    if as_json:
        console.print_json(
            {
                "directory_version": opened.directory.version if opened.directory else 0,
                "logs": [
                    {"origin": one.checkpoint.origin, "size": one.checkpoint.size} for one in held
                ],
                "evidence": [{"origin": one.origin, "at_ms": one.at_ms} for one in kept],
            }
        )
        return
    for one in held:
        console.say(f"{one.checkpoint.origin}: {one.checkpoint.size} leaves")
    console.say(f"{len(kept)} pieces of evidence" if kept else "no evidence of a fork")


@app.command(epilog="Example: credence witness evidence ./bank-b --out ./evidence")
def evidence(
    home: Annotated[
        Path,
        typer.Argument(help="Home of a node, coordinator or witness.", metavar="HOME"),
    ],
    out: Annotated[Path, typer.Option("--out", help="Directory to write to.", metavar="DIR")],
) -> None:
    """Write the evidence of forks that a witness keeps, one file each, to be shown to anybody."""
    rows = _evidence_in(home)
    out.mkdir(parents=True, exist_ok=True)
    for row in rows:
        (out / f"fork-{row.sha256.hex()[:16]}.json").write_bytes(row.body)
    console.say(
        f"{len(rows)} files in {out}; check each with `credence audit verify evidence FILE`"
    )


def register(audit: typer.Typer, verify: typer.Typer) -> None:
    """Add what belongs under `credence audit` and `credence audit verify`."""
    audit.command("continue")(continue_log)
    audit.command("policy")(policy)
    audit.command("checkpoint")(checkpoint)
    verify.command("evidence")(verify_evidence)


def continue_log(
    home: ProcessHome,
    reason: Annotated[str, typer.Option(help="Why; it stands in the log.", show_default=False)],
) -> None:
    """Confirm that a log whose older state was put back goes on under its new origin.

    The process beside may run or not. Training stays stopped: what its ledger lost is unknown.

    Example: credence audit continue ./bank-a --reason "disk lost, backup of Tuesday"
    """
    with _opened(home) as (_, keeper):
        epoch = keeper.confirm(reason)
    console.say(f"{epoch.origin} is confirmed; scores and releases go on once it is witnessed")


def policy(home: ProcessHome) -> None:
    """Print the witnesses that a log must convince, as a C2SP policy file for the verifier.

    Example: credence audit policy ./bank-a > bank-a.policy
    """
    with _opened(home) as (_, keeper):
        text = keeper.policy().encode()
    typer.echo(text, nl=False)


def checkpoint(home: ProcessHome) -> None:
    """Print the newest witnessed checkpoint of a log: a signed note with its cosignatures.

    Example: credence audit checkpoint ./bank-a > bank-a.checkpoint
    """
    from audit.witness_store import latest_witnessed
    from protocols.errors import NotFound

    with _opened(home) as (database, _), database.read() as connection:
        note = latest_witnessed(connection)
    if not note:
        raise NotFound("no checkpoint of this log is witnessed yet")
    typer.echo(note.decode(), nl=False)


def verify_evidence(
    file: Annotated[Path, typer.Argument(help="A witness's evidence.", metavar="FILE")],
    key: Annotated[
        list[str] | None,
        typer.Option("--key", help="The log's key; repeat.", metavar="NAME+ID+BASE64"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that a log signed two histories.

    Exit status: 8 it did, and this proves it; 9 two signed heads that the log has not joined;
    1 the file shows nothing.

    Example: credence audit verify evidence fork-0123456789abcdef.json
    """
    from audit.verifier.evidence import MAX_EVIDENCE_BYTES, check_evidence
    from audit.verifier.note import NoteKey
    from protocols.errors import NotFound

    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_EVIDENCE_BYTES + 1)
    except OSError as error:
        raise NotFound(f"{file} cannot be read ({error.strerror})") from error
    found = check_evidence(data, [NoteKey.parse(text) for text in key or []])
    verdict = found.outcome.name.lower()
    if as_json:
        console.print_json(
            {
                "outcome": verdict,
                "exit_code": int(found.outcome),
                "log": found.held.origin,
                "held": {"size": found.held.size, "root": found.held.root.hex()},
                "shown": {"size": found.shown.size, "root": found.shown.root.hex()},
                "prefix_root": found.prefix_root.hex() if found.prefix_root else None,
                "keys_given": found.keys_given,
            }
        )
    else:
        console.say(f"{verdict}: the log {found.held.origin} signed two heads")
        console.say(f"  {found.held.size} leaves, root {found.held.root.hex()}")
        console.say(f"  {found.shown.size} leaves, root {found.shown.root.hex()}")
        if not found.keys_given:
            console.say(
                "  the key stands in the file itself: give --key as the member publishes it"
            )
    raise typer.Exit(int(found.outcome))


@contextmanager
def _opened(home: Path) -> "Iterator[tuple[Database, LogKeeper]]":
    """The database and the keeper of a node or coordinator."""
    from coordinator.home import DATABASE_FILE as COORDINATORS

    opened: AbstractContextManager[Coordinator | Node]
    opened = opened_coordinator(home) if (home / COORDINATORS).exists() else opened_node(home)
    with opened as process:
        process.witnessing.keeper.open()
        yield process.database, process.witnessing.keeper


def _evidence_in(home: Path) -> "list[EvidenceRow]":
    from audit.witness_home import SETTINGS_FILE, WitnessHome
    from audit.witness_store import evidence as kept

    if (home / SETTINGS_FILE).exists():
        witness = WitnessHome(home, now_ms)
        try:
            with witness.database.read() as connection:
                return kept(connection)
        finally:
            witness.close()
    with _opened(home) as (database, _), database.read() as connection:
        return kept(connection)
