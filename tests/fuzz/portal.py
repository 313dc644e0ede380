"""What people and their browsers send to the portal, and the proof files they take from it."""

import json

from api.http.web.forms import parse_form
from api.http.web.language import accepted
from audit.checkpoint import Checkpoint, NoteKey, sign_checkpoint
from audit.leaf import Entry, commitment, seal_entries
from audit.merkle import leaf_hash
from audit.shredding import DataKey
from audit.verifier.receipt import RECEIPT_FORMAT, check_receipt
from protocols.keys import SigningKey
from tests.fuzz.trying import attempt

ORIGIN = "credence.example/bank-a"


def run(data: bytes) -> bool:
    """The bytes as a form whose every field is read, as a header, and as a proof file."""
    accepted(data.decode("latin-1"))
    taken = [attempt(formed, data), attempt(check_receipt, data)]
    return any(taken)


def formed(data: bytes) -> None:
    """Parse, and read each field in both ways."""
    form = parse_form(data)
    for name in form.names():
        attempt(form.text, name)
        attempt(form.many, name)
    attempt(lambda: form.csrf)


def seeds() -> list[bytes]:
    """A form and a proof that are taken whole."""
    return [b"csrf=x&purpose=score&purpose=train&text=%E5%BC%A0+b%0D%0A", _proof()]


def _proof() -> bytes:
    """The proof of the only leaf of a log."""
    key = SigningKey.from_seed(bytes(32))
    entry = Entry(
        kind="score.issued",
        actor="bank-a",
        purpose="score",
        correlation="scr_1",
        payload={"score": 700},
        subject=None,
        at_ms=1_780_000_000_000,
    )
    (sealed,) = seal_entries([entry], [DataKey(bytes(16), bytes(32))])
    payload, salt = b'{"score":700}', bytes(32)
    leaf = json.loads(sealed.leaf) | {"pc": commitment(salt, payload).hex()}
    text = json.dumps(leaf, sort_keys=True, separators=(",", ":"))
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, leaf_hash(text.encode())), key)
    return json.dumps(
        {
            "format": RECEIPT_FORMAT,
            "seq": 0,
            "leaf": text,
            "content": "shown",
            "payload": payload.decode(),
            "salt": salt.hex(),
            "path": [],
            "checkpoint": note.decode(),
            "key": NoteKey(ORIGIN, key.verify_key).encode(),
        }
    ).encode()
