"""Checkpoints: what a log says of itself at one size, signed.

A checkpoint is a C2SP tlog-checkpoint: a signed note whose text is three lines, the log's origin,
its size and its root in base64. Any C2SP witness or monitor reads it. The signature is bare
Ed25519 over the note text, as C2SP asks, where Credence's own documents are signed under a domain;
the two cannot be mixed up, because the first line of a checkpoint is an origin and
`check_origin` refuses the `|` of a domain prefix. Parsing lives with the verifier, which stands
alone; this module is the side that signs.
"""

import re
from collections.abc import Sequence

from audit.verifier.cosignature import HEADER
from audit.verifier.note import Checkpoint, Note, NoteKey, NoteSignature, valid_key_name
from protocols.errors import InvalidInput
from protocols.keys import SigningKey

__all__ = [
    "Checkpoint",
    "NoteKey",
    "check_origin",
    "open_checkpoint",
    "sign_checkpoint",
    "signer_of",
]

_ORIGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}")


def check_origin(origin: str) -> str:
    """`origin`, if it can name a log: a schema-less URL such as `credence.example/bank-a`.

    Raises:
        InvalidInput: other characters, empty, over 128 long, or what cosignatures begin with.
    """
    if _ORIGIN.fullmatch(origin) is None or origin == HEADER:
        raise InvalidInput("a log's origin is letters, digits and . _ / : - only")
    return origin


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey, *, name: str | None = None) -> bytes:
    """Sign a committed head as the log itself.

    Args:
        checkpoint: from `AuditLog.checkpoint`, which sees committed heads only.
        key: the log's key.
        name: key name in the signature line; the origin when None, as C2SP recommends.

    Returns:
        The signed note.
    """
    check_origin(checkpoint.origin)
    name = checkpoint.origin if name is None else name
    if not valid_key_name(name):
        raise InvalidInput("a note key's name holds neither space nor plus")
    text = checkpoint.text()
    signature = key.sign_raw(text.encode())
    line = NoteSignature(name, NoteKey(name, key.verify_key).key_id, signature)
    return Note(text, (line,)).encode()


def signer_of(data: bytes, keys: Sequence[NoteKey]) -> NoteKey | None:
    """Which of `keys` a note of our own names as its signer; nothing is verified.

    What was signed under an earlier key does not verify beside the one in force, which proofs name.
    """
    lines = {(line.name, line.key_id) for line in Note.parse(data).signatures}
    return next((key for key in keys if (key.name, key.key_id) in lines), None)


def open_checkpoint(data: bytes, keys: Sequence[NoteKey]) -> Checkpoint:
    """Read a checkpoint that at least one of `keys` signed.

    Raises:
        Malformed: not a checkpoint.
        SignatureInvalid: no signature by a given key, or one that fails.
    """
    note = Note.parse(data)
    note.verify(keys)
    return Checkpoint.parse(note.text)
