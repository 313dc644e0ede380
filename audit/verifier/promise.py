"""What an act's caller holds before anybody witnessed it: the log's signed promise of a place.

A promise is the `receipt` of an answer, or a file with that object alone:

| member | what it is |
|---|---|
| `log` | origin of the log |
| `seq`, `leaf_hash` | the leaf's place, and its RFC 9162 leaf hash, hex |
| `tree_size`, `root` | the log right after it, unsigned |
| `signature` | hex, domain `audit-promise`, over log, seq and leaf_hash, each and a newline |

The log must hold this leaf at this place in every checkpoint of more than `seq` leaves. A receipt
that the log signed for another leaf at the same place breaks the promise, and the two together are
the evidence.
"""

import hmac
from typing import Any

from audit.verifier.form import read_json
from audit.verifier.receipt import CheckedEntry, ReceiptInvalid
from protocols.errors import Malformed

PROMISE_DOMAIN = "audit-promise"
MAX_PROMISE_BYTES = 256 * 1024


def promised(log: str, seq: int, leaf_hash: str) -> bytes:
    """What is signed."""
    return f"{log}\n{seq}\n{leaf_hash}\n".encode()


def check_promise(data: bytes, entry: CheckedEntry) -> None:
    """Check that a receipt keeps a promise.

    Checks: 1. the promise has its form; 2. the key of the receipt signed it; 3. it names the
    receipt's log, place and leaf.

    Raises:
        Malformed: check 1.
        SignatureInvalid: check 2.
        ReceiptInvalid: check 3.
    """
    fields = _parse(data)  # 1
    log, seq, leaf_hash = fields["log"], fields["seq"], fields["leaf_hash"]
    signature = bytes.fromhex(fields["signature"])
    entry.key.key.verify(PROMISE_DOMAIN, promised(log, seq, leaf_hash), signature)  # 2
    if log != entry.checkpoint.origin or seq != entry.seq:  # 3
        raise ReceiptInvalid("the promise is of another place or log than the receipt")
    if not hmac.compare_digest(leaf_hash, entry.leaf_hash.hex()):
        raise ReceiptInvalid(f"the log promised another entry at place {seq} than it shows")


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_PROMISE_BYTES:
        raise Malformed(f"a promise has at most {MAX_PROMISE_BYTES} bytes")
    found = read_json(data, "the promise")
    if isinstance(found, dict) and isinstance(found.get("receipt"), dict):
        found = found["receipt"]
    texts = ("log", "leaf_hash", "signature")
    if (
        not isinstance(found, dict)
        or not all(isinstance(found.get(one), str) for one in texts)
        or type(found.get("seq")) is not int
        or not all(_is_hex(found[one]) for one in texts[1:])
        or not found["log"].isascii()
    ):
        raise Malformed("a promise has log, seq, leaf_hash and signature")
    return found


def _is_hex(text: str) -> bool:
    return bool(text) and all(one in "0123456789abcdef" for one in text) and len(text) % 2 == 0
