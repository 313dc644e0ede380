"""Holds the README to the truth: its commands with their arguments and its files are what they say.

Exit status 1 names each line that is not true.
"""

import re
import shlex
import sys
from pathlib import Path

import click
import typer
from click.testing import CliRunner

from deploy.command import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"^\s*(?:\$ )?make ([a-z-]+)", re.MULTILINE)
COMMAND = re.compile(r"^ *credence (.+)$", re.MULTILINE)


def main() -> int:
    """Check every page; print what is wrong."""
    wrong = [f"{page}: {fault}" for page in PAGES for fault in faults(ROOT / page)]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def faults(page: Path) -> list[str]:
    """What one page says that is not so."""
    text = page.read_text(encoding="utf-8")
    found = [f"link to {path}, which is not there" for path in LINK.findall(text)
             if not (ROOT / path).exists()]  # fmt: skip
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found += [f"`make {name}` is no target" for name in MAKE.findall(text) if name not in targets]
    credence, runner = idle(typer.main.get_command(app)), CliRunner()
    for line in COMMAND.findall(text):
        if runner.invoke(credence, shlex.split(line.partition(" > ")[0])).exit_code != 0:
            found.append(f"`credence {line}` is no command with its arguments")
    return found


def idle(command: click.Command) -> click.Command:
    """The command and all below it, doing nothing once their arguments are read."""
    command.callback = lambda **_: None
    for below in getattr(command, "commands", {}).values():
        idle(below)
    return command


if __name__ == "__main__":
    sys.exit(main())
