"""The body of C2SP tlog-witness `add-checkpoint`, written and read.

old <size>
<base64 hash>                zero to 63 of them: a consistency proof
                             an empty line
<checkpoint, a signed note>
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.verifier.note import Checkpoint, Note, unbase64
from protocols.errors import Malformed

MAX_PROOF = 63
MAX_REQUEST_BYTES = 64 * 1024
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request, parsed; nothing in it is verified.

    Attributes:
        old: the size that the proof starts from.
        proof: hashes, 32 bytes each (RFC 9162 section 2.1.4).
        note: the signed note as it came.
    """

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def parsed(self) -> tuple[Note, Checkpoint]:
        """The note and what it says.

        Raises:
            Malformed: it is no checkpoint.
        """
        note = Note.parse(self.note)
        return note, Checkpoint.parse(note.text)


def encode_request(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """The body to send."""
    lines = [f"old {old}", *(base64.b64encode(one).decode() for one in proof)]
    return "\n".join([*lines, "", ""]).encode() + note


def parse_request(data: bytes) -> AddCheckpoint:
    """Read a body.

    Checks: 1. size; 2. an old size line; 3. at most 63 hashes, each 32 bytes; 4. a checkpoint
    after the first empty line; 5. its size is not below the old one, and the proof is empty where
    it must be.

    Raises:
        Malformed: a check fails.
    """
    # 1. Size.
    if len(data) > MAX_REQUEST_BYTES:
        raise Malformed(f"an add-checkpoint request has at most {MAX_REQUEST_BYTES} bytes")
    head, gap, note = data.partition(b"\n\n")
    try:
        first, *hashes = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise Malformed("an add-checkpoint request begins with ASCII lines") from error
    # 2. Old size.
    old = _OLD.fullmatch(first)
    if old is None or not gap:
        raise Malformed("an add-checkpoint request begins with `old <size>`")
    # 3. Proof.
    if len(hashes) > MAX_PROOF:
        raise Malformed(f"a consistency proof has at most {MAX_PROOF} hashes")
    proof = tuple(unbase64(line) for line in hashes)
    if any(len(one) != 32 for one in proof):
        raise Malformed("a hash of a consistency proof has 32 bytes")
    # 4. Checkpoint.
    request = AddCheckpoint(int(old[1]), proof, note)
    _, checkpoint = request.parsed()
    # 5. Sizes.
    if request.old > checkpoint.size:
        raise Malformed("the old size is above the checkpoint's")
    if proof and request.old in {0, checkpoint.size}:
        raise Malformed("this step needs no proof, and has one")
    return request
