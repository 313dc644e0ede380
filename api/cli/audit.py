"""`credence audit`: check a log, show what stands in it, take it away.

`verify` and `head` read files only; they work beside a running process and on a copy of a home.
What signs (`receipt`, `consistency`, `statement`, `export` unless told otherwise) opens the home
with its keys, beside the running process too.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli import audit_verify, console
from api.cli.homes import opened_node

app = typer.Typer(
    help="Verify, prove, export and inspect tamper-evident audit logs.", no_args_is_help=True
)
app.add_typer(audit_verify.app, name="verify")

Home = Annotated[
    Path, typer.Argument(help="Home directory of a node or coordinator.", metavar="HOME")
]
Out = Annotated[Path, typer.Option("--out", help="File to write.", metavar="FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_DAY = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@app.command()
def export(
    home: Home,
    out: Out,
    first: Annotated[int, typer.Option("--from", min=0, help="The first leaf.")] = 0,
    to: Annotated[
        int | None, typer.Option("--to", min=0, help="Leaves of the log at its end.")
    ] = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Without keys: from a copy of the database alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write all leaves, or a range, to one file that anybody can verify; nothing in it is personal.

    Example: credence audit export ./bank-a --out bank-a.jsonl --from 1000 --to 2000
    """
    from audit.export import export_log
    from audit.ranges import export_range

    if unsigned:
        written = export_log(home, out, start=first, size=to)
    else:
        from api.cli.own_log import own_log

        with own_log(home) as (reader, _):
            written = export_range(reader.database, reader.log, reader.signing_key, out, first, to)
    if as_json:
        fields = {"from": written.start, "size": written.size, "root": written.root.hex()}
        console.print_json({"out": str(out), **fields})
    else:
        console.say(f"{written.size - written.start} leaves in {out}")
        console.say(f"root {written.root.hex()}")


@app.command()
def receipt(
    home: Home,
    seq: Annotated[int, typer.Option(min=0, help="Place of the entry in the log.")],
    out: Out,
    opened: Annotated[
        bool,
        typer.Option("--opened", help="With its content: for who may know it."),
    ] = False,
) -> None:
    """Write the receipt of one act, against the newest witnessed checkpoint that covers it.

    Example: credence audit receipt ./bank-a --seq 1234 --out entry-1234.json
    """
    from api.cli.own_log import own_log

    with own_log(home) as (reader, _):
        found = reader.receipt(seq, opened=opened)
    _write(out, found.to_json())
    console.say(f"{out}: give {found.key.encode()} with it")


@app.command()
def backup(home: Home, out: Out) -> None:
    """Copy the log to one file, beside the running process: without its keys, and nothing else.

    Example: credence audit backup ./bank-a --out bank-a-log.db
    """
    from api.cli.own_log import own_log
    from audit.snapshot import copy_log

    with own_log(home) as (reader, _):
        size = copy_log(reader.database, out)
    console.say(f"{size} leaves in {out}; check it with `credence audit verify log {out}`")


@app.command()
def consistency(
    home: Home,
    since: Annotated[
        Path, typer.Option("--from", help="A checkpoint that was kept.", metavar="FILE")
    ],
    out: Out,
) -> None:
    """Prove that the log only grew since a checkpoint.

    Example: credence audit consistency ./bank-a --from kept.checkpoint --out proof.json
    """
    from api.cli.own_log import own_log
    from audit.verifier.commands import read_file
    from audit.verifier.note import MAX_NOTE_BYTES

    kept = read_file(since, MAX_NOTE_BYTES)
    with own_log(home) as (reader, _):
        fields = reader.consistency_file(kept)
    _write(out, fields)
    console.say(f"{out}: give {fields['key']} with it")


@app.command()
def statement(
    home: Home,
    peer: Annotated[str, typer.Option("--with", help="The other party.", metavar="MEMBER")],
    since: Annotated[datetime, typer.Option(formats=_DAY, help="Start, UTC.")],
    until: Annotated[datetime, typer.Option(formats=_DAY, help="End, UTC; not in it.")],
    out: Out,
) -> None:
    """State this node's exchanges with another member, for `credence audit verify reconcile`.

    Example: credence audit statement ./bank-a --with bank-b --since 2026-11-01 --until 2026-12-01
    --out bank-a.statement
    """
    from api.cli.own_log import own_log
    from node.exchange.statement import write_statement

    with own_log(home) as (reader, name):
        entries = write_statement(reader, name, peer, _ms(since), _ms(until), out)
    console.say(f"{entries} entries in {out}")


@app.command()
def reconcile(
    home: Home,
    peer: Annotated[str, typer.Option("--with", help="The other party.", metavar="MEMBER")],
    since: Annotated[datetime, typer.Option(formats=_DAY, help="Start, UTC.")],
    until: Annotated[
        datetime | None, typer.Option(formats=_DAY, help="End, UTC; without it: now.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Keep both statements here.", metavar="DIR")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask another member for its statement, and lay both sides beside each other.

    Exit status: as `verify reconcile`; 7 when one lacks an entry, or they say different things; 4
    when a side rests on a head without the cosignatures that this node's settings ask for, as an
    entry of the last minute does.

    Example: credence audit reconcile ./bank-a --with payments --since 2026-11-01
    """
    from tempfile import TemporaryDirectory

    end_ms = int(datetime.now(UTC).timestamp() * 1000) if until is None else _ms(until)
    with opened_node(home) as node:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            verdict = node.reconciler().reconcile(peer, _ms(since), end_ms, out)
        else:
            with TemporaryDirectory(prefix="credence-") as folder:
                verdict = node.reconciler().reconcile(peer, _ms(since), end_ms, Path(folder))
    audit_verify.tell(verdict, as_json=as_json)


@app.command()
def head(home: Home, as_json: AsJson = False) -> None:
    """Show the size and the root hash that a log has now.

    Example: credence audit head ./bank-a
    """
    from audit.verifier import read_head

    now = read_head(home)
    if as_json:
        console.print_json({"size": now.size, "root": now.root.hex()})
    else:
        console.say(f"size {now.size}")
        console.say(f"root {now.root.hex()}")


def _write(out: Path, fields: dict[str, Any]) -> None:
    out.write_text(json.dumps(fields, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _ms(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp() * 1000)
