"""What the consent commands share: a node opened for a moment, and how a change is shown."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.cli import console

if TYPE_CHECKING:
    from node.consents.service import Changed
    from node.parts import Node


@contextmanager
def opened(home: Path) -> Iterator["Node"]:
    """The node in `home`, for one command."""
    from api.cli import logs
    from node.bootstrap import open_node

    logs.quiet()
    node = open_node(home)
    try:
        yield node
    finally:
        node.close()


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


def utc(at_ms: int) -> str:
    """A time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at_ms / 1000))
