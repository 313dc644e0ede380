"""What the consent commands share: what they check, and how a change is shown."""

from typing import TYPE_CHECKING, Any

from api.cli import console
from api.cli.times import utc

if TYPE_CHECKING:
    from node.consents.service import Changed
    from node.parts import Node


def subject_by_ref(node: "Node", subject_ref: str) -> bytes:
    """A person's pseudonym by this node's reference."""
    from node.storage import subjects

    with node.database.read() as connection:
        return subjects.by_ref(connection, subject_ref).pseudonym


def check_purposes(wanted: list[str] | None) -> None:
    """Refuse purposes that there are not, as a usage error."""
    from protocols.identifiers import PURPOSES

    if not set(wanted or ()) <= set(PURPOSES):
        raise console.usage_error(f"a purpose is one of {', '.join(PURPOSES)}")


def changed_json(changed: "Changed") -> dict[str, Any]:
    """A change and what its parties answered, for `--json`."""
    return {
        "consent_id": changed.consent_id,
        "state": changed.state.value,
        "effective_at_ms": changed.effective_at_ms,
        "confirmed": dict(changed.confirmed),
        "refused": dict(changed.refused),
        "pending": list(changed.pending),
    }


def print_parties(changed: "Changed") -> None:
    """What the parties answered, a line each."""
    for party, at_ms in changed.confirmed.items():
        console.out.print(f"  {party}: in effect since {utc(at_ms)}")
    for party, code in changed.refused.items():
        console.out.print(f"  {party}: [yellow]refused, {code}[/yellow]")
    for party in changed.pending:
        console.out.print(f"  {party}: [yellow]not reached; it is told when it is back[/yellow]")
