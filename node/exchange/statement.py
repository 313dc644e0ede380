"""States this node's exchanges with one member, so that the two can be laid beside each other.

The file is documented and checked in `audit/verifier/statement.py`; it shows neither payloads nor
people. Of an entry whose person was erased it says that there was one.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from audit.database import Connection
from audit.export import ExportFailed
from audit.proofs import LogReader
from audit.receipts import checkpoint_for
from audit.verifier.reconcile import GRACE_MS
from audit.verifier.statement import DOMAIN, MAX_ROWS, STATEMENT_FORMAT, blind
from node.storage import exchange as storage
from protocols.errors import InvalidInput
from protocols.keys import SigningKey

_BATCH = 256


def write_statement(
    reader: LogReader,
    member_id: str,
    peer: str,
    since_ms: int,
    until_ms: int,
    file: Path,
    *,
    most: int = MAX_ROWS,
) -> int:
    """Write the statement of a period, or nothing; how many entries it has.

    Args:
        reader: of this node's log.
        member_id: this node.
        peer: the other party.
        since_ms: start of the period, UTC milliseconds.
        until_ms: its end, not in it.
        file: replaced if it exists, once the new one is complete.
        most: entries that it may have.

    Raises:
        InvalidInput: no such period, or more entries than that.
        ExportFailed: the file system refuses.
    """
    now_ms = reader.now_ms()
    if not 0 <= since_ms < until_ms:
        raise InvalidInput("a period begins before it ends")
    period = {"since_ms": since_ms, "until_ms": until_ms, "taken_at_ms": now_ms}
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            with reader.database.read() as connection, partial.open("xb") as stream:
                # The clocks of two parties are a little apart.
                seqs = storage.leaves_with(
                    connection, peer, since_ms - GRACE_MS, until_ms + GRACE_MS
                )
                if len(seqs) > most:
                    raise InvalidInput(
                        f"a statement has at most {most} entries here; take a shorter period"
                    )
                lines = _lines(reader, connection, member_id, peer, period, seqs)
                _write_signed(stream, lines, reader.signing_key)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ExportFailed(f"{file} cannot be written ({error.strerror})") from error
    return len(seqs)


def _write_signed(
    stream: BinaryIO, lines: Iterable[dict[str, Any]], key: Callable[[], SigningKey]
) -> None:
    digest = hashlib.sha256()
    for fields in lines:
        line = _line(fields)
        digest.update(line)
        stream.write(line)
    stream.write(_line({"signature": key().sign(DOMAIN, digest.digest()).hex()}))
    stream.flush()
    os.fsync(stream.fileno())


def _lines(
    reader: LogReader,
    connection: Connection,
    member_id: str,
    peer: str,
    period: dict[str, int],
    seqs: Sequence[int],
) -> Iterator[dict[str, Any]]:
    newest = seqs[-1] if seqs else -1
    log, key = reader.log, reader.signing_key()
    note, size = checkpoint_for(log, connection, newest, key, reader.witnessed(connection))
    yield {
        "checkpoint": note.decode(),
        "format": STATEMENT_FORMAT,
        "key": reader.key.encode(),
        "member": member_id,
        "peer": peer,
        "rows": len(seqs),
        **period,
    }
    for start in range(0, len(seqs), _BATCH):
        some = seqs[start : start + _BATCH]
        payloads = log.payloads(some, connection)
        for seq in some:
            (stored,) = log.leaves(connection, seq, seq + 1)
            said = payloads.get(seq)
            tag, content = (None, None) if said is None else (x.hex() for x in blind(said))
            path = log.inclusion_proof(seq, size, connection)
            yield {
                "content": content,
                "leaf": stored.leaf.decode("ascii"),
                "path": [one.hex() for one in path],
                "seq": seq,
                "tag": tag,
            }


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode("ascii") + b"\n"
