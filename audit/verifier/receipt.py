"""Checks the receipt of one act: a file that shows, without the log, that its entry stands there.

The file is a JSON object:

| member | what it is |
|---|---|
| `format` | `credence.receipt/1` |
| `seq` | the leaf's place in the log |
| `leaf` | the leaf as the log has it, a text |
| `content` | `shown`; or `withheld`: its reader may not know it; or `erased`: nobody can any more |
| `payload`, `salt` | what the leaf commits to, a text, and the salt, hex; null unless shown |
| `path` | hashes from the leaf's sibling up to the root's child, hex (RFC 9162 section 2.1.3) |
| `checkpoint` | signed note (C2SP tlog-checkpoint) that names the log, its size and its root |
| `key` | the verifier key of the note, `<name>+<8 hex digits>+<base64>` |

Checks, in the order of the code:

1. The file has this form.
2. The payload is the one the leaf commits to: SHA-256("credence/1|audit-payload|" || salt ||
   payload) is the leaf's `pc`. Where none is shown, the leaf alone is shown.
3. The leaf's hash leads along the path to the checkpoint's root (RFC 9162 section 2.1.3.2).
4. The checkpoint is signed by the given key; without one, by the key in the file, which then only
   says that the file agrees with itself.

Whether others saw that checkpoint too is for `audit.verifier.policy`: `CheckedEntry.note` is what
it judges.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit.verifier.form import is_text, read_object, unhex
from audit.verifier.note import Checkpoint, Note, NoteKey
from protocols.errors import CredenceError, Malformed

RECEIPT_FORMAT = "credence.receipt/1"
MAX_RECEIPT_BYTES = 512 * 1024
MAX_PATH = 64
SHOWN, WITHHELD, ERASED = "shown", "withheld", "erased"
_DOMAIN = b"credence/1|audit-payload|"
_FIELDS = {"format", "seq", "leaf", "content", "payload", "salt", "path", "checkpoint", "key"}


class ReceiptInvalid(CredenceError):
    """The entry shown is not the one in the log, or the log is not the one signed."""

    code = "receipt_invalid"
    category = "invalid"
    next_step = "Get the file again from who gave it; if it fails again, keep it as evidence."


@dataclass(frozen=True, slots=True)
class CheckedEntry:
    """An entry whose receipt holds.

    Attributes:
        leaf: the public fields.
        payload: what it says; None unless `content` is `shown`.
        content: `shown`, `withheld` or `erased`, as the file says.
        seq: its place.
        leaf_hash: 32 bytes.
        checkpoint: the log, its size and its root.
        note: the checkpoint with its signatures.
        key: who signed the checkpoint.
        key_given: whether the reader named that key, rather than the file.
    """

    leaf: dict[str, Any]
    payload: dict[str, Any] | None
    content: str
    seq: int
    leaf_hash: bytes
    checkpoint: Checkpoint
    note: Note
    key: NoteKey
    key_given: bool


def check_receipt(data: bytes, keys: Sequence[NoteKey] = ()) -> CheckedEntry:
    """Check one receipt.

    Raises:
        Malformed: check 1.
        ReceiptInvalid: check 2 or 3.
        SignatureInvalid: check 4.
    """
    fields = _parse(data)  # 1
    leaf = fields["leaf"].encode()
    leaf_fields = read_object(leaf, "the receipt")
    payload = None
    if fields["content"] == SHOWN:  # 2
        opened = fields["payload"].encode()
        pc = hashlib.sha256(_DOMAIN + unhex(fields["salt"]) + opened).hexdigest()
        if not hmac.compare_digest(pc.encode(), str(leaf_fields.get("pc")).encode()):
            raise ReceiptInvalid(
                f"the content shown is not what entry {fields['seq']} of the log commits to"
            )
        payload = read_object(opened, "the receipt")
    # 3
    note = Note.parse(fields["checkpoint"].encode())
    checkpoint = Checkpoint.parse(note.text)
    root = root_of(fields["seq"], checkpoint.size, leaf, [unhex(one) for one in fields["path"]])
    if not hmac.compare_digest(root, checkpoint.root):
        raise ReceiptInvalid(f"entry {fields['seq']} does not lead to the root that was signed")
    # 4
    named = NoteKey.parse(fields["key"])
    note.verify(keys or [named])
    return CheckedEntry(
        leaf=leaf_fields,
        payload=payload,
        content=fields["content"],
        seq=fields["seq"],
        leaf_hash=hashlib.sha256(b"\x00" + leaf).digest(),
        checkpoint=checkpoint,
        note=note,
        key=next((key for key in keys if key == named), named),
        key_given=bool(keys),
    )


def seq_of(data: bytes) -> int | None:
    """The place that a receipt speaks of, to name it where the receipt fails."""
    try:
        seq = json.loads(data).get("seq")
    except (ValueError, RecursionError, AttributeError):
        return None
    return seq if type(seq) is int else None


def root_of(seq: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Where a leaf at place `seq` of `size` leads to (RFC 9162 section 2.1.3.2).

    Raises:
        ReceiptInvalid: the path is too long or too short, or there is no such place.
    """
    if not 0 <= seq < size:
        raise ReceiptInvalid(f"place {seq} is not in a log of {size} entries")
    fn, sn = seq, size - 1
    found = hashlib.sha256(b"\x00" + leaf).digest()
    for sibling in path:
        if sn == 0:
            raise ReceiptInvalid(f"the way from entry {seq} to the root is too long")
        if fn & 1 or fn == sn:
            found = hashlib.sha256(b"\x01" + sibling + found).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ReceiptInvalid(f"the way from entry {seq} to the root is too short")
    return found


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_RECEIPT_BYTES:
        raise Malformed(f"a receipt has at most {MAX_RECEIPT_BYTES} bytes")
    fields = read_object(data, "the receipt")
    path, content = fields.get("path"), fields.get("content")
    texts = {"format", "leaf", "checkpoint", "key"}
    if content == SHOWN:
        texts |= {"payload", "salt"}
    if (
        set(fields) != _FIELDS
        or fields["format"] != RECEIPT_FORMAT
        or content not in (SHOWN, WITHHELD, ERASED)
        or not all(is_text(fields[name]) for name in texts)
        or (content != SHOWN and (fields["payload"], fields["salt"]) != (None, None))
        or type(fields["seq"]) is not int
        or not isinstance(path, list)
        or len(path) > MAX_PATH
        or not all(isinstance(one, str) for one in path)
    ):
        raise Malformed(f"this is no {RECEIPT_FORMAT} file")
    return fields
