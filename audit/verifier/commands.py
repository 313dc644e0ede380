"""What `verify log|export|receipt|consistency|reconcile` do: files in, a verdict out.

A file that is not of its form raises (`Malformed`, `LogUnreadable`); one that is and does not hold
is a verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.verifier import receipt as receipts
from audit.verifier.check import Progress, verify
from audit.verifier.consistency import (
    MAX_CONSISTENCY_BYTES,
    ConsistencyInvalid,
    check_consistency,
)
from audit.verifier.locate import open_source
from audit.verifier.note import MAX_NOTE_BYTES, NoteKey
from audit.verifier.policy import MAX_POLICY_BYTES, Policy
from audit.verifier.promise import MAX_PROMISE_BYTES, check_promise
from audit.verifier.receipt import CheckedEntry, ReceiptInvalid, check_receipt
from audit.verifier.reconcile import reconcile
from audit.verifier.report import CheckpointResult, Outcome
from audit.verifier.source import LogUnreadable
from audit.verifier.statement import read_statement
from audit.verifier.trust import Expected, Trust, outcome_of
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid

_GRAVITY = (
    Outcome.INVALID,
    Outcome.DIVERGED,
    Outcome.UNRECONCILED,
    Outcome.UNWITNESSED,
    Outcome.ERASED,
    Outcome.VALID,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification came to.

    Attributes:
        outcome: its value is the exit status.
        lines: for a reader, the verdict first; nothing in them speaks to a terminal.
        fields: for a program.
    """

    outcome: Outcome
    lines: tuple[str, ...]
    fields: dict[str, Any]

    def __post_init__(self) -> None:
        """Show what a file says, whoever made it up, as the characters that it holds."""
        object.__setattr__(self, "lines", tuple(map(_visible, self.lines)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        head = {"outcome": self.outcome.name.lower(), "exit_code": int(self.outcome)}
        return head | self.fields


def _visible(text: str) -> str:
    """A text without control characters, overrides of direction and halves of surrogate pairs."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def read_trust(
    keys: Sequence[str], policy: Path | None = None, checkpoints: Sequence[Path] = ()
) -> Trust:
    """What the reader brings, from the command line.

    Raises:
        LogUnreadable: a file cannot be read.
        Malformed: a key, the policy or a checkpoint is none.
        SignatureInvalid: a checkpoint is not signed by the keys.
    """
    found = None if policy is None else Policy.parse(read_file(policy, MAX_POLICY_BYTES))
    kept = [read_file(one, MAX_NOTE_BYTES) for one in checkpoints]
    return Trust.of([NoteKey.parse(text) for text in keys], found, kept)


def read_trusts(keys: Sequence[str], policies: Sequence[Path]) -> tuple[Trust, Trust]:
    """What the reader of two statements brings: a policy for both, or one each, in their order.

    Raises:
        InvalidInput: more than two policies.
        LogUnreadable, Malformed: as `read_trust`.
    """
    if len(policies) > 2:
        raise InvalidInput("two statements are read with one policy for both, or one each")
    first, last = (policies[0], policies[-1]) if policies else (None, None)
    return read_trust(keys, first), read_trust(keys, last)


def read_file(path: Path, limit: int) -> bytes:
    """A file up to one byte over `limit`, for the parser to refuse.

    Raises:
        LogUnreadable: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(limit + 1)
    except OSError as error:
        raise LogUnreadable(f"{path} cannot be read ({error.strerror})") from error


def verify_log(path: Path, trust: Trust, progress: Progress | None = None) -> Verdict:
    """A log in a home or a database, or an export of one."""
    with open_source(path) as source:
        report = verify(source, trust, progress)
    return Verdict(report.outcome, tuple(report.lines()), report.to_dict())


def verify_export(path: Path, trust: Trust, progress: Progress | None = None) -> Verdict:
    """An export file, and nothing else; one whose checkpoints are wrongly signed is invalid."""
    with open_source(path) as source:
        if source.has_store:
            raise Malformed("this is a database, not an export; `verify log` reads it")
        try:
            report = verify(source, trust, progress)
        except SignatureInvalid as error:
            return _invalid(error, None)
    return Verdict(report.outcome, tuple(report.lines()), report.to_dict())


def verify_receipt(path: Path, trust: Trust, promise: Path | None = None) -> Verdict:
    """A receipt; with the promise that was handed out with the act, whether it is kept."""
    data = read_file(path, receipts.MAX_RECEIPT_BYTES)
    try:
        entry = check_receipt(data, trust.keys)
        judged = trust.judge(entry.note.encode(), entry.key)
        if promise is not None:
            check_promise(read_file(promise, MAX_PROMISE_BYTES), entry)
    except (ReceiptInvalid, SignatureInvalid) as error:
        return _invalid(error, receipts.seq_of(data))
    compared = [*trust.compare(entry.checkpoint), _itself(judged)]
    outcomes = [outcome_of(compared, trust)]
    if entry.content == receipts.ERASED:
        outcomes.append(Outcome.ERASED)
    outcome = next(one for one in _GRAVITY if one in outcomes)
    return Verdict(outcome, _told(outcome, entry, judged, compared), _fields(entry, compared))


def verify_consistency(path: Path, trust: Trust) -> Verdict:
    """Two checkpoints and the proof between them."""
    try:
        found = check_consistency(read_file(path, MAX_CONSISTENCY_BYTES), trust)
    except (ConsistencyInvalid, SignatureInvalid) as error:
        return _invalid(error, None)
    old, new = found.old.checkpoint, found.new.checkpoint
    # A kept checkpoint speaks of one of the two.
    compared = [
        next((one for one in pair if one.covered), pair[1])
        for pair in zip(trust.compare(old), trust.compare(new), strict=True)
    ]
    compared.append(_itself(found.new))
    outcome = Outcome.DIVERGED if found.diverged else outcome_of(compared, trust)
    does = "contradict" if found.diverged else "continue"
    lines = [f"{outcome.name.lower()}: {new.size} leaves of {new.origin} {does} its {old.size}"]
    if found.diverged:
        lines.append("  the log signed two roots for one size: this file is the evidence")
    lines += [f"  {one.line()}" for one in compared]
    fields = {
        "log": new.origin,
        "old": {"size": old.size, "root": old.root.hex()},
        "new": {"size": new.size, "root": new.root.hex()},
        "checkpoints": [one.to_dict() for one in compared],
    }
    return Verdict(outcome, tuple(lines), fields)


def verify_reconciliation(
    left: Path, right: Path, trusts: tuple[Trust, Trust], opened: Sequence[Path] = ()
) -> Verdict:
    """Two parties' statements of their exchanges with each other, each read with its own trust."""
    statements = []
    for path, trust in zip((left, right), trusts, strict=True):
        try:
            statements.append(read_statement(path, trust))
        except (ReceiptInvalid, SignatureInvalid) as error:
            return _invalid(error, None, place=str(path))
    keys = (*trusts[0].keys, *trusts[1].keys)
    entries = [check_receipt(read_file(one, receipts.MAX_RECEIPT_BYTES), keys) for one in opened]
    found = reconcile(statements[0], statements[1], entries)
    compared = [_itself(one.checkpoint) for one in statements]
    outcomes = {Outcome.VALID}
    if found.discrepancies:
        outcomes.add(Outcome.UNRECONCILED)
    for trust, one in zip(trusts, compared, strict=True):
        if trust.policy is not None and not one.witnessed:
            outcomes.add(Outcome.UNWITNESSED)
    outcome = next(one for one in _GRAVITY if one in outcomes)
    names = " and ".join(one.member for one in statements)
    apart = len(found.discrepancies)
    lines = [f"{outcome.name.lower()}: {found.matched} acts of {names} match, {apart} do not"]
    lines += [f"  {one.line()}" for one in found.findings]
    lines += [f"  {one.line()}" for one in compared]
    fields = {
        "matched": found.matched,
        "findings": [one.to_dict() for one in found.findings],
        "checkpoints": [one.to_dict() for one in compared],
    }
    return Verdict(outcome, tuple(lines), fields)


def _itself(judged: Expected) -> CheckpointResult:
    """The checkpoint that a file rests on; whether anything contradicts it is for others."""
    one = judged.checkpoint
    return CheckpointResult(
        one.origin, one.size, judged.signed, matches=True, reason="", witnessed=judged.witnessed
    )


def _invalid(error: CredenceError, seq: int | None, place: str = "") -> Verdict:
    of = f"{place}: " if place else ""
    fields = {"code": error.code, "reason": error.message, "seq": seq}
    lines = (f"invalid: {of}{error.message}", f"  {error.next_step}")
    return Verdict(Outcome.INVALID, lines, fields)


def _told(
    outcome: Outcome,
    entry: CheckedEntry,
    judged: Expected,
    compared: Sequence[CheckpointResult],
) -> tuple[str, ...]:
    leaf = entry.leaf
    origin = entry.checkpoint.origin
    lines = [
        f"{outcome.name.lower()}: the entry stands at place {entry.seq} of the log {origin}",
        f"  {leaf.get('kind')} by {leaf.get('actor')} at {leaf.get('at_ms')} ms",
        f"  signed root of {entry.checkpoint.size} entries: {entry.checkpoint.root.hex()}",
        f"  signed by {entry.key.encode()}",
    ]
    if entry.content != receipts.SHOWN:
        lines.append(f"  its content is {entry.content}")
    if judged.witnesses:
        lines.append(f"  witnessed by {', '.join(judged.witnesses)}")
    if not entry.key_given:
        lines.append("  the key stands in the file itself: give --key as the member publishes it")
    lines += [f"  {one.line()}" for one in compared[:-1]]
    return tuple(lines)


def _fields(entry: CheckedEntry, compared: Sequence[CheckpointResult]) -> dict[str, Any]:
    return {
        "log": entry.checkpoint.origin,
        "seq": entry.seq,
        "size": entry.checkpoint.size,
        "root": entry.checkpoint.root.hex(),
        "key": entry.key.encode(),
        "key_given": entry.key_given,
        "leaf": entry.leaf,
        "content": entry.content,
        "payload": entry.payload,
        "checkpoints": [one.to_dict() for one in compared],
    }
