"""What one party to exchanges with another states of them: a file of blinded tags and proofs.

The file is JSON Lines:

    {"checkpoint": <signed note>, "format": "credence.reconciliation/1", "key": <verifier key>,
     "member": <id>, "peer": <id>, "rows": <number>, "since_ms": <ms>, "taken_at_ms": <ms>,
     "until_ms": <ms>}
    {"content": <hex> or null, "leaf": <text>, "path": [<hex>...], "seq": <n>, "tag": <hex> or null}
    {"signature": <hex>}

One row an exchange entry with the peer from a little before `since_ms` to a little after
`until_ms`. With the request hash R (SHA-256 of the signed request, which only the two parties have)
and the fields of the entry's payload,

    tag     = HMAC-SHA256(R, "credence/1|reconciliation-tag|" || consent hash)
    content = HMAC-SHA256(R, "credence/1|reconciliation-content|" || consent hash || answered)

so that both parties' rows of one act have the same two values, and who knows no R learns nothing
from them. `answered` is a MAC of what was answered about this person (`node.exchange.records`). Of
an erased entry both are null. The signature, domain `reconciliation`, is over SHA-256 of all bytes
before its line: whoever states falsely has signed it.

Checks, in the order of the code:

1. The file has this form, line by line, within the limits, and the log is the member's: its origin
   is the member's id, alone or before a dot.
2. The checkpoint and the file are signed by the given key; without one, by the key in the file.
3. Every leaf leads to the checkpoint's root, is an exchange entry, and no place comes twice.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from audit.verifier.form import is_text, read_object, unhex
from audit.verifier.note import NoteKey
from audit.verifier.receipt import MAX_PATH, ReceiptInvalid, root_of
from audit.verifier.source import LogUnreadable
from audit.verifier.trust import Expected, Trust
from protocols.errors import Malformed, SignatureInvalid

STATEMENT_FORMAT = "credence.reconciliation/1"
DOMAIN = "reconciliation"
MAX_LINE_BYTES = 16_384
MAX_ROWS = 500_000
RELEASED, REFUSED = "exchange.released", "exchange.refused"
RECEIVED, DECLINED = "exchange.received", "exchange.declined"
OUT, IN = frozenset({RELEASED, REFUSED}), frozenset({RECEIVED, DECLINED})
_HEADER = {"format", "member", "peer", "since_ms", "until_ms", "taken_at_ms", "rows",
           "checkpoint", "key"}  # fmt: skip
_LINE = "a line of the statement"
_ROW = {"seq", "leaf", "path", "tag", "content"}
_TAG = b"credence/1|reconciliation-tag|"
_CONTENT = b"credence/1|reconciliation-content|"


@dataclass(frozen=True, slots=True)
class Row:
    """One exchange entry; `tag` and `content` are None when the entry was erased."""

    seq: int
    kind: str
    correlation: str
    purpose: str
    at_ms: int
    leaf_hash: bytes
    tag: bytes | None
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Statement:
    """A file that holds.

    Attributes:
        member, peer: who states, and about exchanges with whom.
        since_ms, until_ms: the period.
        taken_at_ms: when it was made, by the member's clock.
        checkpoint: which every row leads to.
        rows: in the order of the log.
    """

    member: str
    peer: str
    since_ms: int
    until_ms: int
    taken_at_ms: int
    checkpoint: Expected
    rows: tuple[Row, ...]


def blind(payload: dict[str, Any]) -> tuple[bytes, bytes]:
    """`tag` and `content` of an exchange entry's payload.

    Raises:
        Malformed: the payload is no exchange entry's.
    """
    values = [payload.get(name) for name in ("request_hash", "consent_hash", "answered")]
    if not all(isinstance(one, str) for one in values):
        raise Malformed("the payload is not that of an exchange entry")
    key, consent_hash, answered = (unhex(str(one)) for one in values)
    return (
        hmac.digest(key, _TAG + consent_hash, "sha256"),
        hmac.digest(key, _CONTENT + consent_hash + answered, "sha256"),
    )


def read_statement(path: Path, trust: Trust) -> Statement:
    """Check one file.

    Raises:
        LogUnreadable: it cannot be read.
        Malformed: check 1.
        SignatureInvalid: check 2.
        ReceiptInvalid: check 3; the message names the sequence number.
    """
    try:
        with path.open("rb") as stream:
            return check_statement(stream, trust)
    except OSError as error:
        raise LogUnreadable(
            f"{path} cannot be read ({error.strerror})",
            next_step="Give the file that `credence audit statement` wrote.",
        ) from error


def check_statement(stream: BinaryIO, trust: Trust) -> Statement:
    """Check the lines of one statement.

    Raises:
        Malformed, SignatureInvalid, ReceiptInvalid: as `read_statement`.
    """
    digest = hashlib.sha256()
    lines = _lines(stream)
    header = next(lines, b"")
    digest.update(header)
    fields = _header(header)  # 1
    named = NoteKey.parse(fields["key"])
    checkpoint = trust.judge(fields["checkpoint"].encode(), named)  # 2
    origin, member = checkpoint.checkpoint.origin, fields["member"]
    if origin != member and not origin.startswith(member + "."):
        raise Malformed(f"the log {origin} is not {member}'s")
    rows: list[Row] = []
    for line in lines:
        if len(rows) == fields["rows"]:
            _check_signature(line, digest.digest(), trust, named)  # 2
            break
        digest.update(line)
        row = _row(line, checkpoint)  # 1, 3
        if rows and row.seq <= rows[-1].seq:
            raise Malformed(f"entry {row.seq} stands out of order")
        rows.append(row)
    else:
        raise Malformed("the statement is cut off before its signature")
    if next(lines, None) is not None:
        raise Malformed("the statement goes on after its signature")
    return Statement(
        member=fields["member"],
        peer=fields["peer"],
        since_ms=fields["since_ms"],
        until_ms=fields["until_ms"],
        taken_at_ms=fields["taken_at_ms"],
        checkpoint=checkpoint,
        rows=tuple(rows),
    )


def _check_signature(line: bytes, digest: bytes, trust: Trust, named: NoteKey) -> None:
    value = read_object(line, _LINE).get("signature")
    if not isinstance(value, str) or len(value) != 128:
        raise Malformed("a statement ends with its signature")
    try:
        signature = bytes.fromhex(value)
    except ValueError:
        raise Malformed("a statement ends with its signature") from None
    keys = [key for key in trust.keys if key == named] if trust.keys else [named]
    if not keys:
        raise SignatureInvalid("the statement is not signed by a given key")
    keys[0].key.verify(DOMAIN, digest, signature)


def _row(line: bytes, checkpoint: Expected) -> Row:
    fields = read_object(line, _LINE)
    tag, content, path = fields.get("tag"), fields.get("content"), fields.get("path")
    if (
        set(fields) != _ROW
        or type(fields["seq"]) is not int
        or not isinstance(fields["leaf"], str)
        or not fields["leaf"].isascii()
        or not isinstance(path, list)
        or len(path) > MAX_PATH
        or not all(isinstance(one, str) for one in path)
        or (tag is None) != (content is None)
        or not (tag is None or (isinstance(tag, str) and isinstance(content, str)))
    ):
        raise Malformed("a row of the statement has another form")
    leaf = fields["leaf"].encode()
    root = root_of(fields["seq"], checkpoint.checkpoint.size, leaf, [unhex(one) for one in path])
    if not hmac.compare_digest(root, checkpoint.checkpoint.root):  # 3
        raise ReceiptInvalid(f"entry {fields['seq']} does not lead to the root that was signed")
    said = read_object(leaf, _LINE)
    kind = said.get("kind")
    if not (isinstance(kind, str) and kind in OUT | IN) or type(said.get("at_ms")) is not int:
        raise ReceiptInvalid(f"entry {fields['seq']} is not of an exchange")
    return Row(
        seq=fields["seq"],
        kind=kind,
        correlation=str(said.get("correlation")),
        purpose=str(said.get("purpose")),
        at_ms=said["at_ms"],
        leaf_hash=hashlib.sha256(b"\x00" + leaf).digest(),
        tag=None if tag is None else unhex(tag),
        content=None if content is None else unhex(str(content)),
    )


def _header(line: bytes) -> dict[str, Any]:
    fields = read_object(line, _LINE)
    numbers = ("since_ms", "until_ms", "taken_at_ms", "rows")
    if (
        set(fields) != _HEADER
        or fields["format"] != STATEMENT_FORMAT
        or not all(is_text(fields[one]) for one in ("member", "peer", "checkpoint", "key"))
        or not all(type(fields[one]) is int and fields[one] >= 0 for one in numbers)
        or fields["rows"] > MAX_ROWS
    ):
        raise Malformed(f"this is no {STATEMENT_FORMAT} file")
    return fields


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE_BYTES):
        if not line.endswith(b"\n"):
            raise Malformed("a line of the statement is cut off or too long")
        yield line
