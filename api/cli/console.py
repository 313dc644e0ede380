"""What every command shares: how it prints, shows progress and fails.

An error is one line of what, one of what to do. Exit codes: 0 done; 1 a Credence error, its code
printed; 2 wrong usage; 130 interrupted.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from protocols.errors import CredenceError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn errors into lines for the reader instead of a traceback."""
    from protocols.errors import CredenceError, FileUnusable

    try:
        yield
    except CredenceError as error:
        _tell(error)
        raise SystemExit(1) from error
    except OSError as error:  # of a file that no room's own errors speak for
        place = error.filename or "a file"
        _tell(FileUnusable(f"{place} cannot be used: {error.strerror or 'it failed'}"))
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        err.print("interrupted")
        raise SystemExit(130) from error


def _tell(error: "CredenceError") -> None:
    # Never folded: a line is a line, in a log file too.
    err.print(f"[red]error[/red] [bold]{error.code}[/bold]: ", end="")
    err.print(error.message, markup=False, soft_wrap=True)
    err.print(f"  {error.next_step}", markup=False, soft_wrap=True)


def say(line: str) -> None:
    """One line, as it is: a path may look like markup, and a root must not be broken."""
    out.print(line, markup=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Write `value` as JSON to standard output, nothing else with it."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def usage_error(message: str) -> typer.BadParameter:
    """An error in how the command was called (exit 2)."""
    return typer.BadParameter(message)
