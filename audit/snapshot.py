"""A copy of the log as a file: a backup that holds no keys, and what the offline verifier reads.

The copy is an SQLite database with the log's tables and nothing else: not the business rows, and
above all not the data keys. A backup that keeps keys keeps what a person had erased; this one can
be kept for years, and after an erasure it can no more be read than the log itself. It is made in
one snapshot beside running writers, and from any database.
"""

from pathlib import Path

from sqlalchemy import select, update

from audit.bulk import BulkInsert
from audit.database import Database
from audit.tables import (
    audit_head,
    audit_leaf,
    audit_payload,
    audit_subject_index,
    audit_tile,
    create_audit_schema,
)
from protocols.errors import StateConflict

_ROWS = 4096  # copied at once
_IN_ORDER = (
    (audit_leaf, (audit_leaf.c.seq,)),
    (audit_payload, (audit_payload.c.seq,)),
    (audit_tile, (audit_tile.c.level, audit_tile.c.idx)),
    (audit_subject_index, (audit_subject_index.c.tag, audit_subject_index.c.seq)),
)


class FileExists(StateConflict):
    """Something is at the path where a copy was to be made."""

    code = "file_exists"
    next_step = "Give a path where nothing is yet."


def copy_log(source: Database, file: Path) -> int:
    """Copy the log in `source` into a new SQLite database; how many leaves it has.

    Raises:
        FileExists: `file` is there; it stays as it is.
        DatabaseUnavailable: one of the two cannot be read or written; no file is left.
    """
    if file.exists():
        raise FileExists(f"{file} exists; it stays as it is")
    made = file.with_name(f".{file.name}.part")
    made.unlink(missing_ok=True)
    copy = Database(f"sqlite:///{made}")
    try:
        size = _copy(source, copy)
        copy.scrub()  # one file, without a log of its own beside it
    except BaseException:
        copy.close()
        _unlink(made)
        raise
    copy.close()
    made.rename(file)
    _unlink(made)
    return size


def _copy(source: Database, copy: Database) -> int:
    with source.read() as reader, copy.write() as writer:
        create_audit_schema(writer)
        for table, order in _IN_ORDER:
            insert = BulkInsert(table)
            rows = reader.execution_options(yield_per=_ROWS).execute(select(table).order_by(*order))
            for some in rows.partitions():
                insert(writer, [tuple(row) for row in some])
        head = reader.execute(select(audit_head)).one()
        if head.size:
            values = {"size": head.size, "root": head.root, "frontier": head.frontier}
            writer.execute(update(audit_head).values(values))
    return int(head.size)


def _unlink(made: Path) -> None:
    for end in ("", "-wal", "-shm"):
        made.with_name(made.name + end).unlink(missing_ok=True)
