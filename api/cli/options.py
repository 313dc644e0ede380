"""Arguments and options that mean the same in every command."""

from pathlib import Path
from typing import Annotated

import typer

NodeHome = Annotated[Path, typer.Argument(help="The node's home directory.", show_default=False)]
CoordinatorHome = Annotated[
    Path, typer.Argument(help="The coordinator's home directory.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def named(text: str) -> list[str]:
    """The names in a comma-separated option."""
    return [name.strip() for name in text.split(",") if name.strip()]
