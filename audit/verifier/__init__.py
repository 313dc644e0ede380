"""The offline verifier. It stands alone.

It shares no code with the log it checks: its own Merkle tree, its own parser, its own reader of the
database; of the rest of Credence it uses `protocols.keys` (Ed25519) and `protocols.errors`. It
needs no key and sees no personal data. Run it as `credence audit verify` or, from these files
alone, `python -m audit.verifier`.

Exit status:

| status | meaning |
|---|---|
| 0 | valid: everything re-computes, and agrees with every given checkpoint |
| 1 | nothing was verified: no such file, not of this form, or a kept checkpoint wrongly signed |
| 2 | wrong usage |
| 3 | invalid: it contradicts itself or its signature; the first failing entry is named |
| 4 | unwitnessed: it holds, but without the witnesses that the policy asks for, or a kept |
|   | checkpoint of another size could not be compared |
| 5 | diverged: it contradicts a signed checkpoint: history was rewritten, cut short, or forked |
| 6 | erased: the receipt holds, and the content behind it was destroyed on request |
| 7 | unreconciled: of two parties one lacks an entry, or they say different things |

Of two that apply the graver counts: invalid, diverged, unreconciled, unwitnessed, erased, valid.
"""

from pathlib import Path

from audit.verifier.check import Progress, verify
from audit.verifier.locate import open_source
from audit.verifier.note import Checkpoint, NoteKey
from audit.verifier.policy import Policy
from audit.verifier.report import CheckpointResult, Failure, Outcome, Report
from audit.verifier.source import LogUnreadable, RawHead, SourceDamaged
from audit.verifier.trust import NO_TRUST, Expected, Trust

__all__ = [
    "NO_TRUST",
    "Checkpoint",
    "CheckpointResult",
    "Expected",
    "Failure",
    "LogUnreadable",
    "NoteKey",
    "Outcome",
    "Policy",
    "Report",
    "Trust",
    "open_source",
    "read_head",
    "verify",
    "verify_path",
]


def read_head(path: Path) -> RawHead:
    """The head as a log holds it, not verified.

    Raises:
        LogUnreadable: there is no log, or no head in it.
        Malformed: the file is neither a database nor an export.
    """
    with open_source(path) as source:
        try:
            return source.head()
        except SourceDamaged as error:
            raise LogUnreadable(str(error)) from error


def verify_path(path: Path, trust: Trust = NO_TRUST, progress: Progress | None = None) -> Report:
    """Verify the log in a home directory, a database file or an export file.

    Raises:
        LogUnreadable: there is no log.
        Malformed: the file is neither a database nor an export, or carries no real checkpoint.
        SignatureInvalid: a checkpoint that it carries is not signed as the reader asks.
    """
    with open_source(path) as source:
        return verify(source, trust, progress)
