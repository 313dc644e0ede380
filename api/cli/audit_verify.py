"""`credence audit verify`: five things that anybody can check without the log's owner.

These commands read files only, without any key of the network; `python -m audit.verifier` is the
same without the rest of Credence.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import console

if TYPE_CHECKING:
    from audit.verifier.commands import Verdict

app = typer.Typer(
    help="""Check a log, an export, a receipt, two checkpoints, or two parties' statements.

    Exit status: 0 valid; 1 nothing could be verified; 3 invalid; 4 unwitnessed; 5 diverged;
    6 erased; 7 unreconciled.""",
    no_args_is_help=True,
)

Keys = Annotated[
    list[str] | None,
    typer.Option("--key", help="Who must have signed; repeat.", metavar="NAME+ID+BASE64"),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="Witnesses that must have cosigned.", metavar="FILE"),
]
Kept = Annotated[
    list[Path] | None,
    typer.Option("--checkpoint", help="A checkpoint kept elsewhere; repeat.", metavar="FILE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def log(
    path: Annotated[
        Path, typer.Argument(help="Home directory, database file or export.", metavar="HOME")
    ],
    checkpoint: Kept = None,
    key: Keys = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Re-compute a whole log from its leaves and say whether anything was changed.

    Exit status: 0 valid; 1 nothing could be verified; 3 invalid, the first failing leaf is named;
    4 without the witnesses of the policy; 5 diverged, a checkpoint speaks of another log.
    Damage that is found in a home with its keys is put on record there, as an incident.

    Example: credence audit verify log ./bank-a --checkpoint bank-a.checkpoint
    """
    from audit.verifier import commands

    if key and not checkpoint:
        raise console.usage_error("--key is of use with --checkpoint only")
    trust = commands.read_trust(key or (), policy, checkpoint or ())
    with _progress(quiet=as_json) as show:
        verdict = commands.verify_log(path, trust, show)
    _put_on_record(path, verdict)
    tell(verdict, as_json=as_json)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="An export file.", metavar="FILE")],
    checkpoint: Kept = None,
    key: Keys = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Re-compute the range of a log that an export holds, and check what signed it.

    Exit status: as `verify log`; 3 also when a checkpoint in it is wrongly signed.

    Example: credence audit verify export bank-a.jsonl --policy bank-a.policy
    """
    from audit.verifier import commands

    trust = commands.read_trust(key or (), policy, checkpoint or ())
    with _progress(quiet=as_json) as show:
        verdict = commands.verify_export(file, trust, show)
    tell(verdict, as_json=as_json)


@app.command()
def receipt(
    file: Annotated[Path, typer.Argument(help="A receipt.", metavar="FILE")],
    promise: Annotated[
        Path | None,
        typer.Option(help="What the log promised when the act was done.", metavar="FILE"),
    ] = None,
    checkpoint: Kept = None,
    key: Keys = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Check, without the log, that an act stands in it and says this.

    Exit status: 0 it does; 1 the file cannot be read; 3 it does not; 4 without the witnesses of the
    policy; 5 a kept checkpoint contradicts it; 6 it does, and its content was erased.

    Example: credence audit verify receipt entry-1234.json
    """
    from audit.verifier import commands

    trust = commands.read_trust(key or (), policy, checkpoint or ())
    tell(commands.verify_receipt(file, trust, promise), as_json=as_json)


@app.command()
def consistency(
    file: Annotated[Path, typer.Argument(help="A consistency file.", metavar="FILE")],
    checkpoint: Kept = None,
    key: Keys = None,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Check that a log only grew from one checkpoint to another.

    Exit status: 0 it did; 1 the file cannot be read; 3 the proof does not show it; 4 without the
    witnesses of the policy; 5 the log signed two histories, and the file is the evidence.

    Example: credence audit verify consistency bank-a.consistency.json
    """
    from audit.verifier import commands

    trust = commands.read_trust(key or (), policy, checkpoint or ())
    tell(commands.verify_consistency(file, trust), as_json=as_json)


@app.command()
def reconcile(
    left: Annotated[Path, typer.Argument(help="One party's statement.", metavar="A")],
    right: Annotated[Path, typer.Argument(help="The other's.", metavar="B")],
    opened: Annotated[
        list[Path] | None,
        typer.Option(help="A receipt with its content, to settle a difference.", metavar="RECEIPT"),
    ] = None,
    key: Keys = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option(
            help="Witnesses that must have cosigned; one for both, or one each, in their order.",
            metavar="FILE",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lay two parties' statements of their exchanges beside each other; no payload is needed.

    Exit status: 0 they agree; 1 a file cannot be read; 3 a statement does not hold; 4 without the
    witnesses of the policy; 7 one lacks an entry, or they say different things.

    Example: credence audit verify reconcile bank-a.statement bank-b.statement
    """
    from audit.verifier import commands

    trusts = commands.read_trusts(key or (), policy or ())
    verdict = commands.verify_reconciliation(left, right, trusts, opened or ())
    tell(verdict, as_json=as_json)


def _put_on_record(home: Path, verdict: "Verdict") -> None:
    from api.cli.incidents import note_damage
    from protocols.errors import CredenceError

    try:
        incident_id = note_damage(home, verdict)
    except CredenceError as error:  # the verdict is what was asked for
        console.err.print(f"not put on record: {error.code}", markup=False)
        return
    if incident_id:
        console.err.print(f"on record as {incident_id}", markup=False)


def tell(verdict: "Verdict", *, as_json: bool) -> None:
    """Print a verdict, and end with its status."""
    if as_json:
        console.print_json(verdict.to_dict())
    else:
        for line in verdict.lines:
            console.say(line)
    raise typer.Exit(int(verdict.outcome))


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    from rich.progress import Progress

    hidden = quiet or not console.err.is_terminal
    with Progress(console=console.err, transient=True, disable=hidden) as progress:
        task = progress.add_task("verifying leaves", total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield show
