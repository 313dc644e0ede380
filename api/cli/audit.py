"""`credence audit`: check a log, take it away, or look at its head.

These commands read the files only. They work beside a running process, on a copy of a home, and
without any key.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import console

if TYPE_CHECKING:
    from audit.verifier import Expected, Report

app = typer.Typer(
    help="Verify, export and inspect tamper-evident audit logs.", no_args_is_help=True
)

Home = Annotated[
    Path, typer.Argument(help="Home directory of a node or coordinator.", metavar="HOME")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def verify(
    log: Annotated[
        Path,
        typer.Argument(help="Home directory, database file or export.", metavar="HOME_OR_EXPORT"),
    ],
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint", help="A checkpoint kept elsewhere; may be given again.", metavar="FILE"
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key", help="Who must have signed the checkpoints.", metavar="NAME+ID+BASE64"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Re-compute a whole log from its leaves and say whether anything was changed.

    Exit status: 0 valid; 1 nothing could be verified; 3 invalid, the first failing leaf is named;
    5 diverged, the log is not the one that a checkpoint speaks of.

    Example: credence audit verify ./bank-a --checkpoint bank-a.checkpoint
    """
    from audit.verifier import NoteKey, read_checkpoint_file

    if key and not checkpoint:
        raise console.usage_error("--key is of use with --checkpoint only")
    keys = [NoteKey.parse(text) for text in key or []]
    expected = [read_checkpoint_file(file, keys) for file in checkpoint or []]
    report = _verify(log, expected, quiet=as_json)
    if as_json:
        console.print_json(report.to_dict())
    else:
        for line in report.lines():
            _say(line)
    raise typer.Exit(int(report.outcome))


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="A proof file from the portal.", metavar="FILE", exists=True)
    ],
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key", help="Who must have signed the log's root.", metavar="NAME+ID+BASE64"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check, without the log, that an entry a person was shown stands in it and says this.

    Exit status: 0 it does; 1 it does not, or the file cannot be read.

    Example: credence audit check entry-1234.json
    """
    from audit.verifier import NoteKey
    from audit.verifier.receipt import MAX_RECEIPT_BYTES, check_receipt

    with file.open("rb") as stream:
        data = stream.read(MAX_RECEIPT_BYTES + 1)
    found = check_receipt(data, [NoteKey.parse(text) for text in key or []])
    if as_json:
        console.print_json(
            {
                "log": found.checkpoint.origin,
                "seq": found.seq,
                "size": found.checkpoint.size,
                "root": found.checkpoint.root.hex(),
                "key": found.key.encode(),
                "key_given": found.key_given,
                "leaf": found.leaf,
                "payload": found.payload,
            }
        )
        return
    _say(f"the entry stands at place {found.seq} of the log {found.checkpoint.origin}")
    _say(f"  {found.leaf['kind']} by {found.leaf['actor']} at {found.leaf['at_ms']} ms")
    _say(f"  signed root of {found.checkpoint.size} entries: {found.checkpoint.root.hex()}")
    _say(f"  signed by {found.key.encode()}")
    if not found.key_given:
        _say("  the key stands in the file itself: give --key as the member publishes it")


@app.command()
def export(
    home: Home,
    out: Annotated[Path, typer.Option("--out", help="File to write, JSON Lines.", metavar="FILE")],
    as_json: AsJson = False,
) -> None:
    """Write all leaves to one file that anybody can verify; it holds no personal data.

    Example: credence audit export ./bank-a --out bank-a.jsonl
    """
    from audit.export import export_log

    written = export_log(home, out)
    if as_json:
        console.print_json({"out": str(out), "size": written.size, "root": written.root.hex()})
    else:
        _say(f"{written.size} leaves in {out}")
        _say(f"root {written.root.hex()}")


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
        _say(f"size {now.size}")
        _say(f"root {now.root.hex()}")


def _say(line: str) -> None:
    """One line, as it is: a path may look like markup, and a root must not be broken."""
    console.out.print(line, markup=False, emoji=False, soft_wrap=True)


def _verify(log: Path, expected: "Sequence[Expected]", *, quiet: bool) -> "Report":
    """Verify with a progress bar on standard error, where that is a terminal."""
    from rich.progress import Progress

    from audit.verifier import verify_path

    hidden = quiet or not console.err.is_terminal
    with Progress(console=console.err, transient=True, disable=hidden) as progress:
        task = progress.add_task("verifying leaves", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return verify_path(log, expected, show)
