"""Reads a log in a SQLite database, beside the process that writes it.

Read-only and with the standard library alone: a regulator needs nothing of the log's own code.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from audit.verifier.source import LogUnreadable, RawHead, RawLeaf, SourceDamaged

MAGIC = b"SQLite format 3\x00"


class DatabaseSource:
    """The log's tables in a SQLite database, in one snapshot."""

    has_store = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def head(self) -> RawHead:
        """The head row.

        Raises:
            LogUnreadable: the database has no audit log.
            SourceDamaged: the row is missing or the file is broken.
        """
        try:
            rows = list(self._rows("SELECT size, root, frontier FROM audit_head WHERE id = 1"))
        except SourceDamaged as error:
            if "no such table" in str(error):
                raise LogUnreadable("the database holds no audit log") from error
            raise
        if len(rows) != 1 or [type(value) for value in rows[0]] != [int, bytes, bytes]:
            raise SourceDamaged("the head row is missing or of another form")
        return RawHead(*rows[0])

    def leaves(self) -> Iterator[RawLeaf]:
        """The leaves with the hashes of their ciphertexts."""
        for seq, leaf, leaf_hash, ciphertext in self._rows(
            "SELECT seq, leaf, leaf_hash, ciphertext FROM audit_leaf"
            " LEFT JOIN audit_payload USING (seq) ORDER BY seq"
        ):
            whole = isinstance(ciphertext, bytes)
            digest = hashlib.sha256(ciphertext).digest() if whole else None
            yield RawLeaf(seq, leaf, leaf_hash, digest)

    def tile(self, level: int, index: int) -> tuple[object, object] | None:
        """One stored tile."""
        query = "SELECT hashes, root FROM audit_tile WHERE level = ? AND idx = ?"
        for hashes, root in self._rows(query, level, index):
            return hashes, root
        return None

    def tile_names(self) -> Iterator[tuple[int, int]]:
        """All stored tiles' names."""
        return self._rows(
            "SELECT level, CASE typeof(idx) WHEN 'integer' THEN idx ELSE -1 END FROM audit_tile"
            " WHERE typeof(level) = 'integer'"
        )

    def index_rows(self) -> Iterator[tuple[object, int, object]]:
        """The subject index."""
        return self._rows(
            "SELECT tag, CASE typeof(seq) WHEN 'integer' THEN seq ELSE -1 END, guard"
            " FROM audit_subject_index"
        )

    def stray_payloads(self) -> Iterator[int]:
        """Payloads whose leaf is gone."""
        query = "SELECT seq FROM audit_payload WHERE seq NOT IN (SELECT seq FROM audit_leaf)"
        return (seq for (seq,) in self._rows(query))

    def _rows(self, query: str, *values: int) -> Iterator[Any]:
        try:
            yield from self._connection.execute(query, values)
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            # The last: the driver could not even decode the message about a damaged schema.
            raise SourceDamaged(f"the database cannot be read here: {error}") from error


def connect(file: Path) -> sqlite3.Connection:
    """A read-only connection inside one snapshot.

    Reading a WAL database needs its -shm file. On a medium where that can be neither found nor
    made, and where no WAL is left over, the file is all there is: `immutable` reads just that.
    """
    uri = f"file:{quote(str(file.resolve()))}?mode=ro"
    try:
        return _begin(uri)
    except sqlite3.Error as error:
        wal = file.with_name(file.name + "-wal")
        left_over = wal.exists() and wal.stat().st_size > 0
        if isinstance(error, sqlite3.OperationalError) and not left_over:
            return _begin(uri + "&immutable=1")
        raise LogUnreadable(f"{file} cannot be read: {error}") from error


def _begin(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    connection.text_factory = bytes  # text where a blob belongs is a finding, not a crash
    try:
        connection.execute("BEGIN")
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        pass  # a damaged file: the walk says where
    return connection
