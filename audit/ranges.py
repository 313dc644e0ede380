"""A signed range of an opened log as a file; see `audit.export` for what stands in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

from audit.checkpoint import NoteKey, signer_of
from audit.database import Connection, Database
from audit.export import RawRow, Signer, export_rows
from audit.store import AuditLog
from audit.verifier.source import RawHead
from audit.witness_state import require_signable
from audit.witness_store import latest_witnessed
from protocols.keys import SigningKey


def export_range(
    database: Database,
    log: AuditLog,
    signing_key: Callable[[], SigningKey],
    file: Path,
    start: int,
    end: int | None,
) -> RawHead:
    """Write the leaves start <= seq < end of one snapshot to `file`.

    Args:
        database: of the log.
        log: the log.
        signing_key: the log's own.
        file: to be written.
        start: the first leaf.
        end: after the last one; None: all there are.

    Raises:
        InvalidInput: not 0 <= start <= end <= the log's size.
        LogDamaged: the leaves do not give the log's root.
        ExportFailed: the file cannot be written.
        LogQuarantined: no head of the log is signed before an operator has confirmed its epoch.
    """
    with database.read() as connection:
        require_signable(connection)
        head = log.head(connection)
        last = head.size if end is None else end

        def consistency(old: int, new: int) -> list[bytes]:
            return log.consistency_proof(old, new, connection)

        key = signing_key()
        witnessed = latest_witnessed(connection) or None
        if witnessed and not signer_of(witnessed, [NoteKey(log.origin, key.verify_key)]):
            witnessed = None
        signer = Signer(log.origin, key, witnessed, consistency)
        raw = RawHead(head.size, head.root, None)
        return export_rows(
            file, raw, lambda: _rows(log, connection, head.size), start, last, signer
        )


def _rows(log: AuditLog, connection: Connection, size: int) -> Iterator[RawRow]:
    for stored in log.leaves(connection, 0, size):
        yield stored.seq, stored.leaf, stored.leaf_hash
