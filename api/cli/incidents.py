"""`credence node incident`, `credence coordinator incident`: what supervisors are told of."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import console
from api.cli.homes import opened_coordinator, opened_node
from api.cli.options import AsJson
from api.cli.times import now_ms

if TYPE_CHECKING:
    from audit.database import Database
    from audit.store import AuditLog
    from audit.verifier.commands import Verdict

Opened = AbstractContextManager[tuple["Database", "AuditLog"]]
Home = Annotated[Path, typer.Argument(help="The home directory.", show_default=False)]
_OPERATOR = "operator"


def incident_app(whose: str, opened: Callable[[Path], Opened]) -> typer.Typer:
    """The commands, for `node` or `coordinator` homes."""
    app = typer.Typer(
        help="What went wrong and is on record for supervisors.",
        no_args_is_help=True,
        rich_markup_mode="rich",
    )

    @app.command(
        "open",
        epilog=f"Example: credence {whose} incident open ./home --kind breach_notice "
        "--about portal --text 'Notice to the authority sent.'",
    )
    def open_(
        home: Home,
        kind: Annotated[str, typer.Option(help="Its kind; see docs/regulator.md.")],
        about: Annotated[str, typer.Option(help="A member, log, file or system; no person.")],
        text: Annotated[str, typer.Option(help="What is known; names no person.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Put an incident on record, with a leaf."""
        from audit.incidents import open_incident

        with opened(home) as (database, log), database.write() as connection:
            made = open_incident(
                connection, log, kind=kind, about=about, text=text, actor=_OPERATOR,
                at_ms=now_ms(),
            )  # fmt: skip
        if as_json:
            console.print_json(asdict(made))
        else:
            console.out.print(made.incident_id, markup=False)

    @app.command(
        epilog=f"Example: credence {whose} incident close ./home inc_... --outcome 'Restored.'"
    )
    def close(
        home: Home,
        incident_id: Annotated[str, typer.Argument(help="Its id.", show_default=False)],
        outcome: Annotated[str, typer.Option(help="How it ended; names no person.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Close an incident, with a leaf."""
        from audit.incidents import close_incident

        with opened(home) as (database, log), database.write() as connection:
            ended = close_incident(
                connection, log, incident_id, actor=_OPERATOR, at_ms=now_ms(), outcome=outcome
            )
        if as_json:
            console.print_json(asdict(ended))
        else:
            console.out.print(f"[bold]{ended.incident_id}[/bold] is closed")

    @app.command("list", epilog=f"Example: credence {whose} incident list ./home")
    def list_(home: Home, as_json: AsJson = False) -> None:
        """List incidents, open ones first."""
        from audit.incidents import every

        with opened(home) as (database, _), database.read() as connection:
            found = every(connection)
        if as_json:
            console.print_json([asdict(one) for one in found])
            return
        for one in found:
            state = "open" if one.is_open else "closed"
            line = f"{one.incident_id}  {state:<6}  {one.kind:<20} {one.about}"
            console.out.print(line, markup=False, soft_wrap=True)
        if not found:
            console.out.print("no incident")

    return app


def note_damage(home: Path, verdict: "Verdict") -> str:
    """Put damage that the verifier found in a log on record in the home it was found in.

    Returns:
        The incident's id; empty: the verdict is no damage, or `home` is no home with its keys.

    Raises:
        CredenceError: the log cannot be written to any more.
    """
    from audit.incidents import MAX_TEXT, open_incident
    from audit.verifier.report import Outcome

    if not _is_damage(verdict) or not (home / "kek").is_file():
        return ""
    found = verdict.fields["first_failure"]
    text = "a signed checkpoint speaks of another log"
    if verdict.outcome is Outcome.INVALID and found is not None:
        place = "no single leaf" if found["seq"] is None else f"leaf {found['seq']}"
        text = f"{place} ({found['where']}): {found['reason']}"
    opened = of_coordinator if (home / "coordinator.db").exists() else of_node
    with opened(home) as (database, log), database.write() as connection:
        made = open_incident(
            connection, log, kind="failed_verification", about=log.origin, actor=_OPERATOR,
            at_ms=now_ms(), text=text[:MAX_TEXT],
        )  # fmt: skip
    return made.incident_id


def _is_damage(verdict: "Verdict") -> bool:
    from audit.verifier.report import Outcome

    if verdict.outcome is Outcome.DIVERGED:  # anybody can write a checkpoint that nobody signed
        return any(
            one["signed"] and one["covered"] and not one["matches"]
            for one in verdict.fields["checkpoints"]
        )
    return verdict.outcome is Outcome.INVALID


@contextmanager
def of_node(home: Path) -> Iterator[tuple["Database", "AuditLog"]]:
    """The database and the log of a node."""
    with opened_node(home) as node:
        yield node.database, node.audit


@contextmanager
def of_coordinator(home: Path) -> Iterator[tuple["Database", "AuditLog"]]:
    """The database and the log of a coordinator."""
    with opened_coordinator(home) as coordinator:
        yield coordinator.database, coordinator.audit
