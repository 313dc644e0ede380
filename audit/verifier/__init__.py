"""The offline verifier. It stands alone.

It shares no code with the log it checks: its own Merkle tree, its own parser, its own reader of the
database; of the rest of Credence it uses `protocols.keys` (Ed25519) and `protocols.errors`. It
needs no key and sees no personal data. Run it as `credence audit verify` or, from these files
alone, `python -m audit.verifier`.

Exit status:

| status | meaning |
|---|---|
| 0 | valid: everything re-computes, and matches every given checkpoint |
| 1 | nothing was verified: no log there, or the checkpoint file is malformed or wrongly signed |
| 2 | wrong usage |
| 3 | invalid: the log contradicts itself; the report names the first failing leaf |
| 4 | reserved: consistent, but without the witnesses that a policy asks for |
| 5 | diverged: consistent with itself, but not with a given checkpoint: history was rewritten, |
|   | cut short, or this is another log |
"""

from collections.abc import Sequence
from pathlib import Path

from audit.verifier.check import (
    Expected,
    Progress,
    read_checkpoint,
    read_checkpoint_file,
    verify,
)
from audit.verifier.locate import open_source
from audit.verifier.note import Checkpoint, NoteKey
from audit.verifier.report import CheckpointResult, Failure, Outcome, Report
from audit.verifier.source import LogUnreadable, RawHead, SourceDamaged

__all__ = [
    "Checkpoint",
    "CheckpointResult",
    "Expected",
    "Failure",
    "LogUnreadable",
    "NoteKey",
    "Outcome",
    "Report",
    "open_source",
    "read_checkpoint",
    "read_checkpoint_file",
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


def verify_path(
    path: Path, checkpoints: Sequence[Expected] = (), progress: Progress | None = None
) -> Report:
    """Verify the log in a home directory, a database file or an export file.

    Raises:
        LogUnreadable: there is no log.
        Malformed: the file is neither a database nor an export.
    """
    with open_source(path) as source:
        return verify(source, checkpoints, progress)
