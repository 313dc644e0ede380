"""The operator's commands about members: invite, list, suspend, revoke, reinstate, licence."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from api.cli import console
from api.cli.homes import opened_coordinator
from api.cli.options import AsJson, CoordinatorHome
from api.cli.times import now_ms, utc, utc_day

if TYPE_CHECKING:
    from coordinator.membership import MemberView

ROLES = (
    "bank, data_provider, public_record_publisher, licensed_agency, platform_operator or regulator."
)

MemberId = Annotated[str, typer.Argument(help="The member's id.", show_default=False)]
Day = Annotated[
    str | None,
    typer.Option("--until", help="Last day of the licence, YYYY-MM-DD.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    examples: dict[Callable[..., None], str] = {
        invite: "invite ./coordinator bank-a --role bank",
        members: "members ./coordinator --json",
        suspend: "suspend ./coordinator bank-b",
        reinstate: "reinstate ./coordinator bank-b",
        revoke: "revoke ./coordinator bank-b --yes",
        licence: "licence ./coordinator bank-b --number L-7 --until 2027-12-31",
    }
    for command, example in examples.items():
        app.command(epilog=f"Example: credence coordinator {example}")(command)


def invite(
    home: CoordinatorHome,
    member_id: MemberId,
    role: Annotated[str, typer.Option(help=ROLES)] = "bank",
    hours: Annotated[
        int | None, typer.Option(min=1, max=720, help="Life of the invitation.", show_default=False)
    ] = None,
    licence_until: Annotated[
        str | None,
        typer.Option(
            help="Last day of the licence as you have seen it, YYYY-MM-DD; without, as declared.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a one-time invitation; whoever holds the line can join as that member."""
    until_ms = _end_of_day_ms(licence_until, "--licence-until")
    with opened_coordinator(home) as coordinator:
        lifetime_s = (hours or coordinator.settings.invitation_hours) * 3600
        invitation = coordinator.membership.invite(member_id, role, lifetime_s, now_ms(), until_ms)
    if as_json:
        console.print_json(
            {
                "invitation": invitation.to_text(),
                "invitation_id": invitation.invitation_id,
                "member_id": member_id,
                "role": role,
                "expires_at_ms": invitation.expires_at_ms,
            }
        )
        return
    console.out.print(invitation.to_text(), soft_wrap=True, markup=False)
    console.err.print(
        f"one use, until {utc(invitation.expires_at_ms)}; hand it over on a safe way", style="dim"
    )


def members(home: CoordinatorHome, as_json: AsJson = False) -> None:
    """List the members: role, licence, certificate, standing, when seen, which directory."""
    with opened_coordinator(home) as coordinator:
        views = coordinator.membership.overview(now_ms())
    if as_json:
        console.print_json([view.to_json() for view in views])
    elif not views:
        console.out.print("no members yet: credence coordinator invite HOME MEMBER")
    else:
        console.out.print(_table(views, now_ms()))


def suspend(home: CoordinatorHome, member_id: MemberId) -> None:
    """Turn a member away until it is reinstated: here at once, everywhere within a minute."""
    _set_status(home, member_id, "suspended")


def reinstate(home: CoordinatorHome, member_id: MemberId) -> None:
    """Admit a suspended member again."""
    _set_status(home, member_id, "active")


def revoke(
    home: CoordinatorHome,
    member_id: MemberId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Turn a member away for good: here at once, everywhere within a minute. Nothing undoes it."""
    if not yes and not typer.confirm(f"revoke {member_id} for good?"):
        raise typer.Abort
    _set_status(home, member_id, "revoked")


def licence(
    home: CoordinatorHome,
    member_id: MemberId,
    number: Annotated[str, typer.Option(help="Licence number.", show_default=False)],
    until: Day = None,
) -> None:
    """Enter a member's new licence; one whose licence had run out may act again."""
    until_ms = _end_of_day_ms(until, "--until")
    with opened_coordinator(home) as coordinator:
        directory = coordinator.membership.set_licence(member_id, number, until_ms, now_ms())
    ends = "without end" if until_ms is None else f"until {utc(until_ms)}"
    console.out.print(
        f"{member_id} is licensed {ends} since directory version {directory.version}",
        soft_wrap=True,
    )


def _table(views: "list[MemberView]", now_ms: int) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("member", min_width=15, overflow="fold")
    for title in ("role, licence", "certificate", "status", "seen", "directory"):
        table.add_column(title, no_wrap=True)
    for view in views:
        version = str(view.acknowledged_version or "-")
        table.add_row(
            f"{view.member_id}\n[dim]{escape(view.name)}[/dim]",
            f"{view.role}\n{_licence(view)}",
            utc_day(view.certificate_until_ms),
            view.status if view.status == "active" else f"[yellow]{view.status}[/yellow]",
            _ago(view.last_seen_at_ms, now_ms),
            version if view.up_to_date else f"[yellow]{version}[/yellow]",
        )
    return table


def _licence(view: "MemberView") -> str:
    number = escape(view.licence)
    if view.licence_until_ms is None:
        return f"[dim]{number}[/dim]"
    # The last day that it covers.
    text = f"{number} to {utc_day(view.licence_until_ms - 1)}".lstrip()
    return f"[yellow]{text}[/yellow]" if view.licence_ends_soon else f"[dim]{text}[/dim]"


def _set_status(home: Path, member_id: str, status: Any) -> None:
    with opened_coordinator(home) as coordinator:
        directory = coordinator.membership.set_status(member_id, status, now_ms())
    console.out.print(f"{member_id} is {status} since directory version {directory.version}")


def _end_of_day_ms(day: str | None, option: str) -> int | None:
    if day is None:
        return None
    try:
        last = date.fromisoformat(day)
    except ValueError as error:
        raise console.usage_error(f"{option} is a day, YYYY-MM-DD") from error
    midnight = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    return int(midnight.timestamp()) * 1000


def _ago(at_ms: int | None, now_ms: int) -> str:
    if at_ms is None:
        return "never"
    seconds = max(0, now_ms - at_ms) // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
