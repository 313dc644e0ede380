"""`python -m audit.verifier log|export|receipt|consistency|reconcile FILE...`."""

import argparse
import json
import sys
from pathlib import Path

from audit.verifier import commands
from audit.verifier.commands import Verdict
from protocols.errors import CredenceError

KINDS = ("log", "export", "receipt", "consistency", "reconcile")


def main(arguments: list[str] | None = None) -> int:
    """Verify one thing; returns the exit status that the package documents."""
    parser = argparse.ArgumentParser(prog="audit.verifier", description="Verify an audit log.")
    parser.add_argument("what", choices=KINDS)
    parser.add_argument("files", type=Path, nargs="+", help="two for reconcile, else one")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--key", action="append", default=[], metavar="NAME+ID+BASE64")
    parser.add_argument("--policy", type=Path, action="append", default=[], metavar="FILE",
                        help="of witnesses; with reconcile also one a file")  # fmt: skip
    parser.add_argument("--promise", type=Path, metavar="FILE", help="with receipt")
    parser.add_argument("--opened", type=Path, action="append", default=[], metavar="RECEIPT",
                        help="with reconcile")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    options = parser.parse_args(arguments)
    if len(options.files) != (2 if options.what == "reconcile" else 1):
        parser.error("reconcile takes two files, the others one")
    if len(options.policy) > len(options.files):
        parser.error("a file is read with one policy")
    try:
        verdict = _verify(options)
    except CredenceError as error:
        sys.stderr.write(f"error {error.code}: {error.message}\n  {error.next_step}\n")
        return 1
    text = json.dumps(verdict.to_dict(), indent=2) if options.json else "\n".join(verdict.lines)
    sys.stdout.write(text + "\n")
    return int(verdict.outcome)


def _verify(options: argparse.Namespace) -> Verdict:
    files = options.files
    if options.what == "reconcile":
        trusts = commands.read_trusts(options.key, options.policy)
        return commands.verify_reconciliation(files[0], files[1], trusts, options.opened)
    policy = options.policy[0] if options.policy else None
    trust = commands.read_trust(options.key, policy, options.checkpoint)
    match options.what:
        case "log":
            return commands.verify_log(files[0], trust)
        case "export":
            return commands.verify_export(files[0], trust)
        case "receipt":
            return commands.verify_receipt(files[0], trust, options.promise)
        case _:
            return commands.verify_consistency(files[0], trust)


if __name__ == "__main__":
    sys.exit(main())
