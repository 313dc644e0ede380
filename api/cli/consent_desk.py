"""`credence consent` for the institution's desk: ask for a consent, declare one invalid."""

from typing import Annotated

import typer

from api.cli import console
from api.cli.consent_view import (
    changed_json,
    check_purposes,
    print_parties,
    subject_by_ref,
)
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import utc


def add_to(app: typer.Typer) -> None:
    """Put the commands under `app`."""
    app.command(
        epilog="Example: credence consent request ./bank-a --subject sub_... "
        '--message "For your loan"'
    )(request)
    app.command(
        epilog="Example: credence consent invalidate ./bank-a con_... --reason identity_error "
        "--by privacy-officer"
    )(invalidate)


def request(
    home: NodeHome,
    subject: Annotated[
        str, typer.Option(help="The person, by this node's reference.", show_default=False)
    ],
    message: Annotated[str, typer.Option(help="Why, in words for the person.")] = "",
    purpose: Annotated[
        list[str] | None, typer.Option(help="score, train or monitor; repeat. Default: score.")
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="A source class; repeat. Default: all that the holders hold."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days that an answer is waited for.")] = 14,
    by: Annotated[str, typer.Option(help="Who asks: a role or a staff reference.")] = "desk",
    as_json: AsJson = False,
) -> None:
    """Ask a person for a consent; they see it waiting in the portal."""
    from node.consents.service import OfferTerms

    check_purposes(purpose)
    terms = OfferTerms(purposes=tuple(purpose or ("score",)), data_categories=category)
    with opened_node(home) as node:
        person = subject_by_ref(node, subject)
        asked = node.consents.ask(person, terms, requested_by=by, message=message, days=days)
    if as_json:
        console.print_json({"consent_id": asked.consent_id, "lapses_at_ms": asked.lapses_at_ms})
        return
    console.out.print(
        f"[bold]{asked.consent_id}[/bold] waits for an answer until {utc(asked.lapses_at_ms)}"
    )


def invalidate(
    home: NodeHome,
    consent_id: Annotated[str, typer.Argument(help="The consent's id.", show_default=False)],
    reason: Annotated[
        str,
        typer.Option(
            help="court_order, identity_error, key_compromised, not_informed or recorded_in_error.",
            show_default=False,
        ),
    ],
    by: Annotated[str, typer.Option(help="Who decided: a role or a staff reference.")],
    as_json: AsJson = False,
) -> None:
    """Declare a consent invalid; in effect at once, then told to all."""
    from consent.authority import REASONS

    if reason not in REASONS:
        raise console.usage_error(f"a reason is one of {', '.join(REASONS)}")
    with opened_node(home) as node:
        changed = node.consents.invalidate(consent_id, reason, by)
    if as_json:
        console.print_json(changed_json(changed))
        return
    console.out.print(
        f"[bold]{consent_id}[/bold] is {changed.state.value} since {utc(changed.effective_at_ms)}"
    )
    print_parties(changed)
