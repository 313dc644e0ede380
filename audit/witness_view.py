"""How a log stands before its witnesses, for operators."""

from pathlib import Path
from typing import Any

from audit import witness_store as store
from audit.database import Database
from audit.verifier.note import Note
from audit.verifier.policy import Policy
from audit.witness_state import Gate


def kept_checkpoint(home: Path) -> bytes:
    """The newest witnessed checkpoint in a home with its own database file; empty: none."""
    for name in ("node.db", "coordinator.db"):
        if (home / name).exists():
            database = Database(f"sqlite:///{home / name}")
            try:
                with database.read() as connection:
                    return store.latest_witnessed(connection)
            finally:
                database.close()
    return b""


def cosigners(note: bytes) -> list[str]:
    """Names of those who signed a checkpoint beside the log; nothing is verified."""
    return sorted({line.name for line in Note.parse(note).signatures[1:]}) if note else []


def browser_policy(policy: Policy) -> dict[str, Any]:
    """Whose cosignatures a page counts, as `cosignatures.js` reads it."""
    return {
        "minimum": policy.minimum,
        "organisations": {
            name: [key.encode() for key in keys] for name, keys in policy.organisations.items()
        },
    }


def witness_line(view: dict[str, Any]) -> str:
    """The view in a line."""
    if view["quarantined"]:
        return f"QUARANTINED as {view['origin']}: an older state of the log was put back"
    if not view["minimum"]:
        return "none asked for (witness_minimum = 0)"
    if view["witnessed_at_ms"] is None:
        return f"{view['state']}, not witnessed yet; {view['minimum']} organisations are asked for"
    names = ", ".join(view["cosigned_by"])
    return f"{view['state']}, {view['witnessed_size']} leaves {view['silent_s']} s ago by {names}"


def witness_view(database: Database, gate: Gate) -> dict[str, Any]:
    """The gate's view, who cosigned the newest witnessed head, and the forks seen elsewhere."""
    with database.read() as connection:
        witnessed = store.latest_witnessed(connection)
        evidence = store.evidence(connection)
        held = store.all_held(connection)
    return {
        **gate.view(),
        "cosigned_by": cosigners(witnessed),
        "watches": [{"origin": one.checkpoint.origin, "size": one.checkpoint.size} for one in held],
        "evidence": [{"origin": one.origin, "sha256": one.sha256.hex()} for one in evidence],
    }
