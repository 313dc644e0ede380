"""Checks what a node proves, with the offline verifier's own code (`audit.verifier`).

At once, an answer carries the log's *promise*: `check_promise_of` holds it to the log's key. About
a minute later the *receipt* (`credence.receipt/1`) shows that the entry stands in a tree whose head
others have cosigned, and says what the entry says: `check_score` holds all three together.

The log's key is the line `<name>+<8 hex digits>+<base64>`; pin the one that the institution gave
you. Without a pinned key a receipt only agrees with itself.
"""

import hmac
import json
from collections.abc import Sequence
from typing import Any

from api.sdk.results import Promise, Score
from audit.verifier.note import NoteKey
from audit.verifier.promise import PROMISE_DOMAIN, check_promise, promised
from audit.verifier.receipt import SHOWN, CheckedEntry, ReceiptInvalid, check_receipt
from protocols.canonical import canonical_json
from protocols.errors import Malformed, SignatureInvalid

__all__ = [
    "CheckedEntry",
    "ReceiptInvalid",
    "check_promise_of",
    "check_receipt_file",
    "check_score",
]


def log_keys(lines: Sequence[str]) -> list[NoteKey]:
    """The keys in verifier key lines.

    Raises:
        Malformed: a line is none.
    """
    return [NoteKey.parse(line) for line in lines]


def check_promise_of(score: Score, log_key: str) -> None:
    """Check that the log of this key promised the score's entry.

    Checks: 1. the key is of the log that the promise names; 2. it signed the promise.

    Raises:
        Malformed: the key or the signature has another form.
        SignatureInvalid: check 1 or 2.
    """
    promise, key = score.receipt, NoteKey.parse(log_key)
    if not hmac.compare_digest(promise.log.encode(), key.name.encode()):  # 1
        raise SignatureInvalid(f"the promise is of another log than {key.name}")
    try:
        signature = bytes.fromhex(promise.signature)
    except ValueError:
        raise Malformed("the promise's signature is hex") from None
    message = promised(promise.log, promise.seq, promise.leaf_hash)
    key.key.verify(PROMISE_DOMAIN, message, signature)  # 2


def check_receipt_file(data: bytes, keys: Sequence[str] = ()) -> CheckedEntry:
    """Check a receipt against log keys (lines); none: it only agrees with itself.

    Raises:
        Malformed, ReceiptInvalid, SignatureInvalid: see `audit.verifier.receipt.check_receipt`.
    """
    return check_receipt(data, log_keys(keys))


def check_score(score: Score, receipt: bytes, keys: Sequence[str] = ()) -> CheckedEntry:
    """Check that the log holds this very score.

    Checks: 1. the receipt holds; 2. the promise in the answer is of the receipt's log, place and
    leaf, and signed by its key; 3. the entry says that a score of this id was issued; 4. where its
    content is shown, that is this answer, field by field.

    Raises:
        Malformed, SignatureInvalid: the receipt or the promise is not what was signed.
        ReceiptInvalid: it is of another entry, or of another answer.
    """
    entry = check_receipt_file(receipt, keys)  # 1
    check_promise(json.dumps(_promise(score.receipt)).encode(), entry)  # 2
    if entry.leaf.get("kind") != "score.issued" or entry.leaf.get("correlation") != score.score_id:
        raise ReceiptInvalid(f"entry {entry.seq} of the log is not of this score")  # 3
    if entry.content == SHOWN and entry.payload is not None:  # 4
        said = _object(entry.payload.get("answer"))
        given = {name: value for name, value in score.raw.items() if name != "receipt"}
        if canonical_json(said) != canonical_json(given):
            raise ReceiptInvalid(f"entry {entry.seq} of the log says another score than was given")
    return entry


def _promise(promise: Promise) -> dict[str, Any]:
    names = ("log", "seq", "leaf_hash", "tree_size", "root", "signature")
    return {name: getattr(promise, name) for name in names}


def _object(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise ReceiptInvalid("the entry's content holds no answer") from None
    if not isinstance(found, dict):
        raise ReceiptInvalid("the entry's content holds no answer")
    return found
