"""`python -m audit.verifier LOG [--checkpoint FILE]... [--key KEY]...`."""

import argparse
import json
import sys
from pathlib import Path

from audit.verifier import NoteKey, read_checkpoint_file, verify_path
from protocols.errors import CredenceError


def main(arguments: list[str] | None = None) -> int:
    """Verify one log; returns the exit status that the package documents."""
    parser = argparse.ArgumentParser(prog="audit.verifier", description="Verify an audit log.")
    parser.add_argument("log", type=Path, help="home directory, database file or export file")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--key", action="append", default=[], metavar="NAME+ID+BASE64")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    try:
        keys = [NoteKey.parse(text) for text in options.key]
        expected = [read_checkpoint_file(file, keys) for file in options.checkpoint]
        report = verify_path(options.log, expected)
    except CredenceError as error:
        sys.stderr.write(f"error {error.code}: {error.message}\n  {error.next_step}\n")
        return 1
    text = json.dumps(report.to_dict(), indent=2) if options.json else "\n".join(report.lines())
    sys.stdout.write(text + "\n")
    return int(report.outcome)


if __name__ == "__main__":
    sys.exit(main())
