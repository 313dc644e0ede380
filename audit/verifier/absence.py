"""Checks that a withdrawn consent is in no later training round, from a file and without the log.

The file is a JSON object:

| member | what it is |
|---|---|
| `format` | `credence.training-proof/1` |
| `consent_id`, `consent_hashes` | the consent, and the hash of each of its versions, hex |
| `withdrawal` | the log's entry of the withdrawal, a receipt (`audit/verifier/receipt.py`) |
| `rounds` | the log's entry of every training round after it, receipts in the log's order |
| `absences` | by cohort root, hex: for each hash of the consent, in their order, its neighbours |

A round's entry names the *cohort* it drew from: the root of the Merkle tree (RFC 9162) over the
sorted hashes of its consents, and their number. A neighbour is `{"index", "member", "path"}`.

Checks, in the order of the code:

1. The file has this form.
2. Every entry is proven by a checkpoint of one log, signed by the given key (or by one and the same
   key in the file, which then only says that the file agrees with itself).
3. The withdrawal's entry withdraws this consent: its kind, its time, its id, one of the hashes.
4. Every other entry is a training round, stands after the withdrawal, and after the one before it.
5. Each hash is absent from the cohort of every round: it lies strictly between two members that
   stand next to one another in the tree, or before the first, or after the last.

That rounds were left out of the file, or that a cohort is not sorted, is for who reads the whole
log and the stored cohorts: `python -m audit.verifier` and the regulator.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.verifier.form import read_json, unhex
from audit.verifier.note import NoteKey
from audit.verifier.receipt import CheckedEntry, ReceiptInvalid, check_receipt, root_of
from protocols.errors import Malformed

TRAINING_PROOF_FORMAT = "credence.training-proof/1"
MAX_TRAINING_PROOF_BYTES = 64 * 1024 * 1024
MAX_ROUNDS = 20_000
MAX_HASHES = 256
MAX_PATH = 64
WITHDRAWN = "consent.withdrawn"
ROUND = "training.round"
_FIELDS = {"format", "consent_id", "consent_hashes", "withdrawal", "rounds", "absences"}
_EMPTY_ROOT = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class CheckedAbsence:
    """A file that holds.

    Attributes:
        log: the log's origin.
        consent_id: the consent.
        withdrawn_at_ms: when, UTC milliseconds, says the log.
        withdrawn_seq: the withdrawal's place in the log.
        rounds: how many rounds after it are shown, all without the consent.
        newest_seq: place of the last of them; None: there are none.
        key: who signed.
        key_given: whether the reader named that key, rather than the file.
    """

    log: str
    consent_id: str
    withdrawn_at_ms: int
    withdrawn_seq: int
    rounds: int
    newest_seq: int | None
    key: NoteKey
    key_given: bool


def check_training_proof(data: bytes, keys: Sequence[NoteKey] = ()) -> CheckedAbsence:
    """Check one file.

    Raises:
        Malformed: check 1.
        ReceiptInvalid: checks 2 to 5.
        SignatureInvalid: check 2.
    """
    fields = _parse(data)  # 1
    # 2
    withdrawal = _entry(fields["withdrawal"], keys)
    rounds = [_entry(one, keys) for one in fields["rounds"]]
    signer = (withdrawal.checkpoint.origin, withdrawal.key.encode())
    if any((one.checkpoint.origin, one.key.encode()) != signer for one in rounds):
        raise ReceiptInvalid("the entries are not of one log under one key")
    # 3
    hashes = fields["consent_hashes"]
    leaf, said = withdrawal.leaf, withdrawal.payload or {}
    at_ms = leaf.get("at_ms")
    if (
        leaf.get("kind") != WITHDRAWN
        or type(at_ms) is not int
        or said.get("consent_hash") not in hashes
    ):
        raise ReceiptInvalid("the entry is not the withdrawal of this consent")
    if leaf.get("correlation") != fields["consent_id"]:
        raise ReceiptInvalid("the withdrawal is that of another consent")
    before = withdrawal.seq
    for one in rounds:
        # 4
        if one.leaf.get("kind") != ROUND or one.seq <= before:
            raise ReceiptInvalid("an entry is no training round after the withdrawal")
        before = one.seq
        _check_round(one, [bytes.fromhex(text) for text in hashes], fields["absences"])  # 5
    return CheckedAbsence(
        log=withdrawal.checkpoint.origin,
        consent_id=fields["consent_id"],
        withdrawn_at_ms=at_ms,
        withdrawn_seq=withdrawal.seq,
        rounds=len(rounds),
        newest_seq=rounds[-1].seq if rounds else None,
        key=withdrawal.key,
        key_given=bool(keys),
    )


def _check_round(entry: CheckedEntry, hashes: Sequence[bytes], absences: Mapping[str, Any]) -> None:
    payload = entry.payload or {}
    root, size = payload.get("cohort_root"), payload.get("cohort_size")
    shown = absences.get(root) if isinstance(root, str) else None
    if type(size) is not int or not isinstance(shown, list) or len(shown) != len(hashes):
        raise ReceiptInvalid("a round's cohort is not shown to be without the consent")
    for wanted, one in zip(hashes, shown, strict=True):
        check_absent(wanted, unhex(root), size, one)


def check_absent(wanted: bytes, root: bytes, size: int, shown: Any) -> None:
    """Check that `wanted` is not in the sorted set of `size` members under `root`.

    Args:
        wanted: 32 bytes.
        root: of the tree over the sorted members.
        size: how many there are.
        shown: `{"below": neighbour or null, "above": neighbour or null}`.

    Raises:
        Malformed: `shown` has another form.
        ReceiptInvalid: it does not show that.
    """
    if not isinstance(shown, dict) or set(shown) != {"below", "above"}:
        raise Malformed("an absence is shown by the neighbours below and above")
    below, above = (_neighbour(shown[side], root, size) for side in ("below", "above"))
    if below is None and above is None:
        if size != 0 or not hmac.compare_digest(root, _EMPTY_ROOT):
            raise ReceiptInvalid("a set that is not empty shows no neighbour")
        return
    first = 0 if below is None else below[0] + 1
    last = size if above is None else above[0]
    if first != last:
        raise ReceiptInvalid("the neighbours do not stand next to one another")
    if (below is not None and below[1] >= wanted) or (above is not None and above[1] <= wanted):
        raise ReceiptInvalid("the consent does not lie between the neighbours")


def _neighbour(value: Any, root: bytes, size: int) -> tuple[int, bytes] | None:
    if value is None:
        return None
    if (
        not isinstance(value, dict)
        or set(value) != {"index", "member", "path"}
        or type(value["index"]) is not int
        or not isinstance(value["path"], list)
        or len(value["path"]) > MAX_PATH
    ):
        raise Malformed("a neighbour has an index, a member and a path")
    member = unhex(value["member"])
    path = [unhex(one) for one in value["path"]]
    if not hmac.compare_digest(root_of(value["index"], size, member, path), root):
        raise ReceiptInvalid("a neighbour is not in the cohort")
    return value["index"], member


def _entry(value: Any, keys: Sequence[NoteKey]) -> CheckedEntry:
    return check_receipt(json.dumps(value).encode(), keys)


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_TRAINING_PROOF_BYTES:
        raise Malformed(f"a proof has at most {MAX_TRAINING_PROOF_BYTES} bytes")
    fields = read_json(data, "the proof")
    if (
        not isinstance(fields, dict)
        or set(fields) != _FIELDS
        or fields["format"] != TRAINING_PROOF_FORMAT
        or not isinstance(fields["consent_id"], str)
        or not isinstance(fields["rounds"], list)
        or len(fields["rounds"]) > MAX_ROUNDS
        or not isinstance(fields["absences"], dict)
        or not isinstance(fields["consent_hashes"], list)
        or not 1 <= len(fields["consent_hashes"]) <= MAX_HASHES
    ):
        raise Malformed(f"this is no {TRAINING_PROOF_FORMAT} file")
    for one in fields["consent_hashes"]:
        unhex(one)
    return fields
