"""Files that a reader takes from somebody else's log, and the names of tiles he asks for."""

import hashlib
import io
import json
from functools import partial

from api.http.log import parse_tile
from audit.checkpoint import Checkpoint, NoteKey, sign_checkpoint
from audit.merkle import leaf_hash, node_hash
from audit.verifier.consistency import CONSISTENCY_FORMAT, check_consistency
from audit.verifier.export_source import head_of, leaf_of
from audit.verifier.promise import check_promise
from audit.verifier.receipt import check_receipt
from audit.verifier.statement import DOMAIN, STATEMENT_FORMAT, check_statement
from audit.verifier.trust import NO_TRUST
from protocols.errors import Malformed
from protocols.keys import SigningKey
from tests.fuzz.portal import seeds as receipts
from tests.fuzz.trying import attempt

ORIGIN = "bank-a"
KEY = SigningKey.from_seed(bytes(32))
NOTE_KEY = NoteKey(ORIGIN, KEY.verify_key).encode()


def run(data: bytes) -> bool:
    """The bytes as each kind of file, and as a tile's name."""
    readers = (
        partial(check_consistency, data, NO_TRUST),
        partial(check_statement, io.BytesIO(data), NO_TRUST),
        partial(check_promise, data, check_receipt(receipts()[-1])),
        partial(exported, data),
        partial(parse_tile, data.decode("latin-1")),
    )
    taken = [attempt(reader) for reader in readers]  # each of them, whatever the first says
    return any(taken)


def exported(data: bytes) -> None:
    """A line as an export's first and as one of its others."""
    if head_of(data) is None and leaf_of(data) is None:
        raise Malformed("neither")


def seeds() -> list[bytes]:
    """A file of each kind that is taken whole."""
    leaf = (
        '{"actor":"bank-a","at_ms":1,"ch":"","correlation":"req_1","kind":"exchange.released",'
        '"pc":"","purpose":"score","version":1}'
    )
    hashed = leaf_hash(leaf.encode())
    one = sign_checkpoint(Checkpoint(ORIGIN, 1, hashed), KEY).decode()
    root = node_hash(hashed, hashed)
    two = sign_checkpoint(Checkpoint(ORIGIN, 2, root), KEY).decode()
    consistency = {"format": CONSISTENCY_FORMAT, "old": one, "new": two,
                   "path": [hashed.hex()], "key": NOTE_KEY}  # fmt: skip
    head = {"format": "credence.log-export/1", "start": 1, "size": 2, "root": root.hex(),
            "before": [hashed.hex()], "log": ORIGIN, "key": NOTE_KEY,
            "notes": [{"note": two, "path": []}]}  # fmt: skip
    row = {"seq": 1, "leaf": leaf, "hash": hashed.hex()}
    return [
        json.dumps(consistency).encode(),
        _statement(one, leaf),
        json.dumps(head).encode() + b"\n",
        json.dumps(row).encode() + b"\n",
        b"0/x001/234.p/7",
    ]


def _statement(note: str, leaf: str) -> bytes:
    head = {"format": STATEMENT_FORMAT, "member": ORIGIN, "peer": "bank-b", "since_ms": 0,
            "until_ms": 2, "taken_at_ms": 9, "rows": 1, "checkpoint": note,
            "key": NOTE_KEY}  # fmt: skip
    row = {"seq": 0, "leaf": leaf, "path": [], "tag": "00" * 32, "content": "11" * 32}
    body = b"".join(json.dumps(one).encode() + b"\n" for one in (head, row))
    signature = KEY.sign(DOMAIN, hashlib.sha256(body).digest()).hex()
    return body + json.dumps({"signature": signature}).encode() + b"\n"
