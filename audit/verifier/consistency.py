"""Checks that one checkpoint of a log continues another: nothing before was changed or dropped.

The file is a JSON object:

| member | what it is |
|---|---|
| `format` | `credence.consistency/1` |
| `old`, `new` | signed notes (C2SP tlog-checkpoint) of the same log |
| `path` | the consistency proof, hashes in hex (RFC 9162 section 2.1.4) |
| `key` | the verifier key of the notes |

Checks, in the order of the code:

1. The file has this form, and both checkpoints are of one log.
2. Both are signed: by the given key, or else by the one in the file.
3. Two checkpoints of one size have one root. If not, both are signed and the log has two
   histories: the file is the evidence.
4. The path leads from the old root to the new one (RFC 9162 section 2.1.4.2). That it does not may
   be the fault of the path: get it again before you accuse.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.verifier.form import is_text, read_json, unhex
from audit.verifier.note import NoteKey
from audit.verifier.receipt import MAX_PATH
from audit.verifier.trust import Expected, Trust
from protocols.errors import CredenceError, Malformed

CONSISTENCY_FORMAT = "credence.consistency/1"
MAX_CONSISTENCY_BYTES = 1024 * 1024
_FIELDS = {"format", "old", "new", "path", "key"}


class ConsistencyInvalid(CredenceError):
    """A consistency proof does not lead from the old root to the new one."""

    code = "consistency_invalid"
    category = "invalid"
    next_step = "Get the proof again; if it fails again, keep both checkpoints as evidence."


@dataclass(frozen=True, slots=True)
class CheckedConsistency:
    """Two checkpoints; `diverged`: they contradict each other, for good."""

    old: Expected
    new: Expected
    diverged: bool


def check_consistency(data: bytes, trust: Trust) -> CheckedConsistency:
    """Check one file.

    Raises:
        Malformed: check 1.
        SignatureInvalid: check 2.
        ConsistencyInvalid: check 4.
    """
    fields = _parse(data)  # 1
    named = NoteKey.parse(fields["key"])
    old, new = (trust.judge(fields[name].encode(), named) for name in ("old", "new"))  # 2
    one, other = old.checkpoint, new.checkpoint
    if one.origin != other.origin:  # 1
        raise Malformed("the two checkpoints are of different logs")
    if one.size == other.size:  # 3
        same = hmac.compare_digest(one.root, other.root)
        return CheckedConsistency(old, new, diverged=not same)
    path = [unhex(item) for item in fields["path"]]
    check_path(one.size, other.size, one.root, other.root, path)  # 4
    return CheckedConsistency(old, new, diverged=False)


def check_path(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Check that a tree of `new` leaves continues one of `old` (RFC 9162 section 2.1.4.2).

    Everything continues the empty tree; then the path is empty too.

    Raises:
        ConsistencyInvalid: it does not.
    """
    if old == 0 and not path:
        if hmac.compare_digest(old_root, hashlib.sha256(b"").digest()):
            return
        raise ConsistencyInvalid("a log of no leaves has another root")
    if old == new and not path and hmac.compare_digest(old_root, new_root):
        return
    if not 0 < old < new or not path:
        raise ConsistencyInvalid(f"no such proof leads from {old} to {new} leaves")
    before, after = roots_of(old, new, old_root, path)
    if not (hmac.compare_digest(before, old_root) and hmac.compare_digest(after, new_root)):
        raise ConsistencyInvalid(f"the log of {new} leaves is not shown to continue that of {old}")


def roots_of(old: int, new: int, old_root: bytes, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of `old` and `new` leaves that a path leads to, for 0 < old < new.

    Raises:
        ConsistencyInvalid: the path has another length than it must have.
    """
    rest = list(path) if old & (old - 1) else [old_root, *path]
    if not rest:
        raise ConsistencyInvalid("the proof is too short")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    before = after = rest[0]
    for item in rest[1:]:
        if sn == 0:
            raise ConsistencyInvalid("the proof is too long")
        if fn & 1 or fn == sn:
            before, after = _node(item, before), _node(item, after)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            after = _node(after, item)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ConsistencyInvalid("the proof is too short")
    return before, after


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_CONSISTENCY_BYTES:
        raise Malformed(f"a consistency file has at most {MAX_CONSISTENCY_BYTES} bytes")
    fields = read_json(data, "the proof")
    if (
        not isinstance(fields, dict)
        or set(fields) != _FIELDS
        or fields["format"] != CONSISTENCY_FORMAT
        or not all(is_text(fields[one]) for one in ("old", "new", "key"))
        or not isinstance(fields["path"], list)
        or len(fields["path"]) > 2 * MAX_PATH
        or not all(isinstance(one, str) for one in fields["path"])
    ):
        raise Malformed(f"this is no {CONSISTENCY_FORMAT} file")
    return fields
