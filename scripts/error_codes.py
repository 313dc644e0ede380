"""Writes the table of error codes in docs/protocol.md from the classes that carry them.

The table stands between two markers; `--check` changes nothing and fails when it is stale.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator

from protocols.errors import Category, CredenceError, error_classes
from scripts.pages import PROTOCOL, renewed, settle

BEGIN = "<!-- error codes: written by scripts/error_codes.py -->\n"
END = "<!-- end of error codes -->\n"
ROOMS = ("protocols", "audit", "consent", "models", "node", "coordinator", "api", "deploy")


def table() -> str:
    """The table, one line a code, by room and code."""
    import_everything()
    statuses = grpc_statuses()
    lines = [
        "| Code | Room | gRPC status | Retry | What happened | What to do |",
        "|---|---|---|---|---|---|",
    ]
    found = [cls for cls in error_classes().values() if room_of(cls) in ROOMS]
    for cls in sorted(found, key=lambda cls: (ROOMS.index(room_of(cls)), cls.code)):
        what = _cell((inspect.getdoc(cls) or "").split("\n\n")[0])
        lines.append(
            f"| `{cls.code}` | {room_of(cls)} | {statuses[cls.category]} "
            f"| {'yes' if cls.retryable else 'no'} | {what} | {_cell(cls.next_step)} |"
        )
    return "\n".join(lines) + "\n"


def import_everything() -> None:
    """Import every module of the house, so that every error class is known."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            # A `__main__` runs; a migration's environment wants a migration.
            if not module.name.endswith((".__main__", ".env")):
                importlib.import_module(module.name)


def grpc_statuses() -> dict[Category, str]:
    """The gRPC status of every category."""
    from node.network.rpc_errors import STATUS

    return {category: status.name for category, status in STATUS.items()}


def room_of(cls: type[CredenceError]) -> str:
    """The room that defines an error."""
    return cls.__module__.partition(".")[0]


def undocumented() -> Iterator[str]:
    """Codes whose class says nothing."""
    return (code for code, cls in error_classes().items() if not inspect.getdoc(cls))


def main(arguments: Iterable[str]) -> int:
    """Write the table, or with `--check` compare it."""
    new = renewed(PROTOCOL.read_text(encoding="utf-8"), BEGIN, END, table())
    silent = sorted(undocumented())
    if silent:
        print(f"no docstring says what these mean: {', '.join(silent)}", file=sys.stderr)
        return 1
    check = "--check" in arguments
    return settle(PROTOCOL, new, check=check, command="python -m scripts.error_codes")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
