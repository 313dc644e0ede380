"""Holds the README to the truth: its commands, its files and its help text are what they say.

Exit status 1 names each line that is not true.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"^\s*(?:\$ )?make ([a-z-]+)", re.MULTILINE)
COMMAND = re.compile(r"^\s*(?:\$ )?credence ((?:[a-z-]+ ?){1,2})", re.MULTILINE)


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
    for words in {command.strip() for command in COMMAND.findall(text)}:
        if not help_exists(words.split()):
            found.append(f"`credence {words}` is no command")
    return found


def help_exists(words: list[str]) -> bool:
    """Whether `credence WORDS --help` works; a second word may be an argument."""
    for count in range(len(words), 0, -1):
        command = [sys.executable, "-m", "deploy.command", *words[:count], "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode == 0:
            return True
        if "No such command" in done.stderr and count == 1:
            return False
    return False


if __name__ == "__main__":
    sys.exit(main())
