"""Checks, from a file and offline, that a log signed two histories.

The file is a JSON object that a witness kept:

| member | what it is |
|---|---|
| `format` | `credence.fork-evidence/1` |
| `held` | the signed note that the witness had cosigned before |
| `shown` | the signed note that the log showed it then; at least as large |
| `proof` | what the log gave as consistency proof from one to the other, hashes, hex |
| `keys` | verifier keys of the log, as its directory names them |

Checks, in the order of the code:

1. The file has this form.
2. Both notes are checkpoints of one log, each signed by a given key; without one, by a key in the
   file, which then only says that the file agrees with itself.
3. They contradict each other. It is *proven* when both are of one size with two roots, or when the
   proof shows, by the larger tree's own root, another root at the smaller size. Else the proof just
   fails: then the two heads are *unexplained* until the log shows a proof that joins them. (A proof
   from a size that is a power of two leaves the old root out, and so can prove nothing against it.)
"""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from audit.verifier.consistency import ConsistencyInvalid, roots_of
from audit.verifier.form import is_text, read_json, unhex
from audit.verifier.note import Checkpoint, Note, NoteKey
from protocols.errors import CredenceError, Malformed

EVIDENCE_FORMAT = "credence.fork-evidence/1"
MAX_EVIDENCE_BYTES = 1024 * 1024
MAX_PROOF = 63
_MAX_KEYS = 32
_FIELDS = {"format", "held", "shown", "proof", "keys"}


class EvidenceInvalid(CredenceError):
    """The file shows nothing against the log."""

    code = "evidence_invalid"
    category = "invalid"
    next_step = "Compare with the witness's own record; this file accuses nobody."


class EvidenceOutcome(IntEnum):
    """What a file shows; the value is the verifier's exit status."""

    FORKED = 8
    UNEXPLAINED = 9


@dataclass(frozen=True, slots=True)
class CheckedEvidence:
    """Evidence that holds.

    Attributes:
        outcome: how much it shows.
        held: the head that came first.
        shown: the head that does not continue it.
        prefix_root: the root that the larger tree has at the smaller size, if the proof tells.
        keys_given: whether the reader named the keys, rather than the file.
    """

    outcome: EvidenceOutcome
    held: Checkpoint
    shown: Checkpoint
    prefix_root: bytes | None
    keys_given: bool


def make_evidence(
    held: bytes, shown: bytes, proof: Sequence[bytes], keys: Sequence[NoteKey]
) -> bytes:
    """The file; that it holds is for `check_evidence`."""
    fields = {
        "format": EVIDENCE_FORMAT,
        "held": held.decode(),
        "shown": shown.decode(),
        "proof": [one.hex() for one in proof],
        "keys": [key.encode() for key in keys],
    }
    return (json.dumps(fields, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def check_evidence(data: bytes, keys: Sequence[NoteKey] = ()) -> CheckedEvidence:
    """Check one file.

    Raises:
        Malformed: check 1.
        SignatureInvalid: check 2.
        EvidenceInvalid: check 2 or 3.
    """
    fields = _parse(data)  # 1
    # 2
    trusted = list(keys) or [NoteKey.parse(text) for text in fields["keys"]]
    held, shown = (_signed(fields[name], trusted) for name in ("held", "shown"))
    if held.origin != shown.origin or held.size > shown.size:
        raise EvidenceInvalid("the two heads are of two logs, or stand in the wrong order")
    # 3
    if held.size == 0:
        raise EvidenceInvalid("every log continues the empty one")
    proof = [unhex(text) for text in fields["proof"]]
    outcome, prefix = _contradiction(held, shown, proof)
    return CheckedEvidence(outcome, held, shown, prefix, bool(keys))


def _contradiction(
    held: Checkpoint, shown: Checkpoint, proof: Sequence[bytes]
) -> tuple[EvidenceOutcome, bytes | None]:
    if held.size == shown.size:
        if hmac.compare_digest(held.root, shown.root):
            raise EvidenceInvalid("the two heads are the same")
        return EvidenceOutcome.FORKED, shown.root
    try:
        before, after = roots_of(held.size, shown.size, held.root, proof)
    except ConsistencyInvalid:
        return EvidenceOutcome.UNEXPLAINED, None
    if not hmac.compare_digest(after, shown.root):
        return EvidenceOutcome.UNEXPLAINED, None
    if hmac.compare_digest(before, held.root):
        raise EvidenceInvalid("the proof joins the two heads: the log was only continued")
    return EvidenceOutcome.FORKED, before


def _signed(text: str, keys: Sequence[NoteKey]) -> Checkpoint:
    note = Note.parse(text.encode())
    checkpoint = Checkpoint.parse(note.text)
    note.verify([key for key in keys if key.name == checkpoint.origin])
    return checkpoint


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_EVIDENCE_BYTES:
        raise Malformed(f"evidence has at most {MAX_EVIDENCE_BYTES} bytes")
    try:
        data.decode("utf-8")  # `json` would also read UTF-16, and halves of surrogate pairs
    except UnicodeDecodeError:
        raise Malformed("the evidence is not JSON") from None
    fields = read_json(data, "the evidence")
    if (
        not isinstance(fields, dict)
        or set(fields) != _FIELDS
        or fields["format"] != EVIDENCE_FORMAT
        or not all(_is_said(fields[name]) for name in ("held", "shown"))
        or not _is_list(fields["proof"], MAX_PROOF)
        or not _is_list(fields["keys"], _MAX_KEYS)
    ):
        raise Malformed(f"this is no {EVIDENCE_FORMAT} file")
    return fields


def _is_list(value: Any, most: int) -> bool:
    return isinstance(value, list) and len(value) <= most and all(map(_is_said, value))


def _is_said(value: object) -> bool:
    return is_text(value) and bool(value)
