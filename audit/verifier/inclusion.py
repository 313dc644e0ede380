"""Checks one entry that a person was shown, from a file and without the log.

The file is a JSON object:

| member | what it is |
|---|---|
| `format` | `credence.leaf-proof/1` |
| `seq` | the leaf's place in the log |
| `leaf` | the leaf as the log has it, a text |
| `payload`, `salt` | what the leaf commits to, a text, and the salt, hex |
| `path` | hashes from the leaf's sibling up to the root's child, hex (RFC 9162 section 2.1.3) |
| `checkpoint` | signed note (C2SP tlog-checkpoint) that names the log, its size and its root |
| `key` | the verifier key of the note, `<name>+<8 hex digits>+<base64>` |

Checks, in the order of the code:

1. The file has this form.
2. The payload is the one the leaf commits to: SHA-256("credence/1|audit-payload|" || salt ||
   payload) is the leaf's `pc`.
3. The leaf's hash leads along the path to the checkpoint's root (RFC 9162 section 2.1.3.2).
4. The checkpoint is signed by the given key; without one, by the key in the file, which then only
   says that the file agrees with itself.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.verifier.note import Checkpoint, Note, NoteKey
from protocols.errors import CredenceError, Malformed

PROOF_FORMAT = "credence.leaf-proof/1"
MAX_PROOF_BYTES = 512 * 1024
_MAX_PATH = 64
_DOMAIN = b"credence/1|audit-payload|"
_FIELDS = {"format", "seq", "leaf", "payload", "salt", "path", "checkpoint", "key"}


class LeafProofInvalid(CredenceError):
    """The entry shown is not the one in the log, or the log is not the one signed."""

    code = "leaf_proof_invalid"
    category = "invalid"
    next_step = "Get the file again from the portal; if it fails again, keep it as evidence."


@dataclass(frozen=True, slots=True)
class CheckedEntry:
    """An entry whose proof holds.

    Attributes:
        leaf: the public fields.
        payload: what it says.
        seq: its place.
        checkpoint: the log, its size and its root.
        key: who signed the checkpoint.
        key_given: whether the reader named that key, rather than the file.
    """

    leaf: dict[str, Any]
    payload: dict[str, Any]
    seq: int
    checkpoint: Checkpoint
    key: NoteKey
    key_given: bool


def check_leaf_proof(data: bytes, keys: Sequence[NoteKey] = ()) -> CheckedEntry:
    """Check one proof file.

    Raises:
        Malformed: check 1.
        LeafProofInvalid: check 2 or 3.
        SignatureInvalid: check 4.
    """
    fields = _parse(data)  # 1
    leaf, payload = fields["leaf"].encode(), fields["payload"].encode()
    leaf_fields = _object(leaf)
    # 2
    pc = hashlib.sha256(_DOMAIN + _hex(fields["salt"]) + payload).hexdigest()
    if not hmac.compare_digest(pc.encode(), str(leaf_fields.get("pc")).encode()):
        raise LeafProofInvalid("the content shown is not what the log's entry commits to")
    # 3
    note = Note.parse(fields["checkpoint"].encode())
    checkpoint = Checkpoint.parse(note.text)
    root = root_of(fields["seq"], checkpoint.size, leaf, [_hex(one) for one in fields["path"]])
    if not hmac.compare_digest(root, checkpoint.root):
        raise LeafProofInvalid("the entry does not lead to the root that was signed")
    # 4
    named = NoteKey.parse(fields["key"])
    note.verify(keys or [named])
    return CheckedEntry(
        leaf_fields,
        _object(payload),
        fields["seq"],
        checkpoint,
        next((key for key in keys if key == named), named),
        bool(keys),
    )


def root_of(seq: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Where a leaf at place `seq` of `size` leads to (RFC 9162 section 2.1.3.2).

    Raises:
        LeafProofInvalid: the path is too long or too short, or there is no such place.
    """
    if not 0 <= seq < size:
        raise LeafProofInvalid("the entry's place is not in the log")
    fn, sn = seq, size - 1
    found = hashlib.sha256(b"\x00" + leaf).digest()
    for sibling in path:
        if sn == 0:
            raise LeafProofInvalid("the way to the root is too long")
        if fn & 1 or fn == sn:
            found = hashlib.sha256(b"\x01" + sibling + found).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise LeafProofInvalid("the way to the root is too short")
    return found


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_PROOF_BYTES:
        raise Malformed(f"a proof has at most {MAX_PROOF_BYTES} bytes")
    fields = _object(data)
    path = fields.get("path")
    texts = _FIELDS - {"seq", "path"}
    if (
        set(fields) != _FIELDS
        or fields["format"] != PROOF_FORMAT
        or not all(isinstance(fields[name], str) for name in texts)
        or type(fields["seq"]) is not int
        or not isinstance(path, list)
        or len(path) > _MAX_PATH
        or not all(isinstance(one, str) for one in path)
        or not all(_is_text(fields[name]) for name in texts)
    ):
        raise Malformed(f"this is no {PROOF_FORMAT} file")
    return fields


def _is_text(value: str) -> bool:
    """Whether it has a UTF-8 form: JSON may hold half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("the proof is not JSON") from None
    if not isinstance(found, dict):
        raise Malformed("the proof is no JSON object")
    return found


def _hex(text: str) -> bytes:
    if len(text) != 64:
        raise Malformed("a hash has 64 hex digits")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Malformed("a hash has 64 hex digits") from None
