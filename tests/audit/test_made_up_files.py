"""A file that somebody made up under a key of his own is refused with a code, whatever is in it."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from audit.checkpoint import Checkpoint, NoteKey, sign_checkpoint
from audit.merkle import leaf_hash
from audit.verifier.absence import TRAINING_PROOF_FORMAT, WITHDRAWN, check_training_proof
from audit.verifier.commands import verify_receipt
from audit.verifier.receipt import RECEIPT_FORMAT, WITHHELD, ReceiptInvalid, check_receipt
from audit.verifier.statement import DOMAIN, RELEASED, STATEMENT_FORMAT, check_statement
from audit.verifier.trust import NO_TRUST
from protocols.errors import CredenceError, Malformed
from protocols.keys import SigningKey

KEY = SigningKey.from_seed(bytes(32))
NOTE_KEY = NoteKey("bank-a", KEY.verify_key).encode()
HASH = "ab" * 32
NOT_A_KIND: list[Any] = [[], {}, None, "other"]
NOT_A_TIME: list[Any] = [None, True, "x", [], 1.5, float("inf"), float("nan")]


def leaf(kind: Any, at_ms: Any = 1, **more: Any) -> str:
    return json.dumps({"kind": kind, "at_ms": at_ms, "correlation": "c"} | more)


def signed(text: str) -> str:
    return sign_checkpoint(Checkpoint("bank-a", 1, leaf_hash(text.encode())), KEY).decode()


def receipt(text: str, **changes: Any) -> dict[str, Any]:
    made = {"format": RECEIPT_FORMAT, "seq": 0, "leaf": text, "content": WITHHELD, "payload": None,
            "salt": None, "path": [], "checkpoint": signed(text), "key": NOTE_KEY}  # fmt: skip
    return made | changes


def opened(text: str, payload: dict[str, Any]) -> dict[str, Any]:
    said = json.dumps(payload)
    commitment = hashlib.sha256(b"credence/1|audit-payload|" + bytes(32) + said.encode())
    text = json.dumps(json.loads(text) | {"pc": commitment.hexdigest()})
    return receipt(text, content="shown", payload=said, salt="00" * 32)


def statement(text: str, **changes: Any) -> io.BytesIO:
    head = {"format": STATEMENT_FORMAT, "member": "bank-a", "peer": "bank-b", "since_ms": 0,
            "until_ms": 2, "taken_at_ms": 9, "rows": 1, "checkpoint": signed(text),
            "key": NOTE_KEY} | changes  # fmt: skip
    row = {"seq": 0, "leaf": text, "path": [], "tag": HASH, "content": HASH}
    body = b"".join(json.dumps(one).encode() + b"\n" for one in (head, row))
    signature = KEY.sign(DOMAIN, hashlib.sha256(body).digest()).hex()
    return io.BytesIO(body + json.dumps({"signature": signature}).encode() + b"\n")


@pytest.mark.parametrize("content", [[], {}, None, 1, "other"])
def test_a_receipt_of_unknown_content_is_malformed(content: Any) -> None:
    with pytest.raises(Malformed):
        check_receipt(json.dumps(receipt(leaf("any.kind"), content=content)).encode())


def withdrawal(at_ms: Any) -> bytes:
    entry = opened(leaf(WITHDRAWN, at_ms), {"consent_hash": HASH})
    return json.dumps({"format": TRAINING_PROOF_FORMAT, "consent_id": "c",
                       "consent_hashes": [HASH], "withdrawal": entry, "rounds": [],
                       "absences": {}}).encode()  # fmt: skip


def test_a_withdrawal_has_a_time() -> None:
    assert check_training_proof(withdrawal(7)).withdrawn_at_ms == 7
    for at_ms in NOT_A_TIME:
        with pytest.raises(ReceiptInvalid):
            check_training_proof(withdrawal(at_ms))


def test_a_row_of_a_statement_is_an_exchange_and_has_a_time() -> None:
    assert check_statement(statement(leaf(RELEASED)), NO_TRUST).rows[0].kind == RELEASED
    made = [leaf(kind) for kind in NOT_A_KIND] + [leaf(RELEASED, one) for one in NOT_A_TIME]
    for text in made:
        with pytest.raises(ReceiptInvalid):
            check_statement(statement(text), NO_TRUST)


@pytest.mark.parametrize("name", ["member", "peer", "checkpoint", "key"])
@pytest.mark.parametrize("value", [None, 1, [], "\ud800"])
def test_the_texts_of_a_statement_are_texts(name: str, value: Any) -> None:
    with pytest.raises(CredenceError):
        check_statement(statement(leaf(RELEASED), **{name: value}), NO_TRUST)


@pytest.mark.parametrize("hidden", ["\x1b[2J", "\r", "\n", "\u202e", "\ud800", "\x07"])
def test_nothing_in_a_file_speaks_to_the_terminal(tmp_path: Path, hidden: str) -> None:
    """Not a leaf's text either, which its own log has signed."""
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(receipt(leaf(f"any{hidden}.kind", actor=f"someone{hidden}"))))
    verdict = verify_receipt(path, NO_TRUST)
    assert not any(hidden in line for line in verdict.lines)
    assert all(line.isprintable() for line in verdict.lines)
