"""`python -m audit.verifier log|export|receipt|consistency|reconcile FILE...`."""

import argparse
import json
import sys
from pathlib import Path

from audit.verifier import commands
from audit.verifier.commands import Verdict
from audit.verifier.trust import Trust
from protocols.errors import CredenceError

KINDS = ("log", "export", "receipt", "consistency", "reconcile")


def main(arguments: list[str] | None = None) -> int:
    """Verify one thing; returns the exit status that the package documents."""
    parser = argparse.ArgumentParser(prog="audit.verifier", description="Verify an audit log.")
    parser.add_argument("what", choices=KINDS)
    parser.add_argument("files", type=Path, nargs="+", help="two for reconcile, else one")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--key", action="append", default=[], metavar="NAME+ID+BASE64")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="tlog-policy of witnesses")
    parser.add_argument("--promise", type=Path, metavar="FILE", help="with receipt")
    parser.add_argument("--opened", type=Path, action="append", default=[], metavar="RECEIPT",
                        help="with reconcile")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    options = parser.parse_args(arguments)
    if len(options.files) != (2 if options.what == "reconcile" else 1):
        parser.error("reconcile takes two files, the others one")
    try:
        trust = commands.read_trust(options.key, options.policy, options.checkpoint)
        verdict = _verify(options, trust)
    except CredenceError as error:
        sys.stderr.write(f"error {error.code}: {error.message}\n  {error.next_step}\n")
        return 1
    text = json.dumps(verdict.to_dict(), indent=2) if options.json else "\n".join(verdict.lines)
    sys.stdout.write(text + "\n")
    return int(verdict.outcome)


def _verify(options: argparse.Namespace, trust: Trust) -> Verdict:
    files = options.files
    match options.what:
        case "log":
            return commands.verify_log(files[0], trust)
        case "export":
            return commands.verify_export(files[0], trust)
        case "receipt":
            return commands.verify_receipt(files[0], trust, options.promise)
        case "consistency":
            return commands.verify_consistency(files[0], trust)
        case _:
            return commands.verify_reconciliation(files[0], files[1], trust, options.opened)


if __name__ == "__main__":
    sys.exit(main())
