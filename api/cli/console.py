"""What every command shares: how it prints, shows progress and fails.

An error is one line of what, one of what to do. Exit codes: 0 done; 1 a Credence error, its code
printed; 2 wrong usage; 130 interrupted.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Turn errors into lines for the reader instead of a traceback."""
    from protocols.errors import CredenceError

    try:
        yield
    except CredenceError as error:
        err.print(f"[red]error[/red] [bold]{error.code}[/bold]: ", end="")
        err.print(error.message, markup=False)
        err.print(f"  {error.next_step}", markup=False)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:
        err.print("interrupted")
        raise SystemExit(130) from error


def print_json(value: Any) -> None:
    """Write `value` as JSON to standard output, nothing else with it."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def usage_error(message: str) -> typer.BadParameter:
    """An error in how the command was called (exit 2)."""
    return typer.BadParameter(message)
