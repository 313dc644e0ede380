"""Entries that committed with their act and have no number yet, on a server database.

Several transactions write at once there. If each took the next number from the head's row, it would
keep the others from it until its commit, and they would write one after another again. So they only
insert a sealed entry, and one transaction at a time moves what has committed into the log, in
batches (`integrate`). What is to be moved is found by `DELETE ... RETURNING`, never by an id above
the last one: a lower id may commit later, and would never be seen.

A leaf's hash names it from the beginning: its commitment has 32 random bytes in it.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from audit import tree_rows
from audit.bulk import BulkInsert, Row, SelectByKeys
from audit.database import Connection
from audit.subject_index import GUARD_DOMAIN, GUARD_SIZE
from audit.tables import audit_leaf, audit_staging

BATCH = 1024  # leaves moved in one transaction: as many acts wait for it, at most

_INSERT = BulkInsert(audit_staging, without=["id"])
_NUMBERS = SelectByKeys(
    lambda hashes: select(audit_leaf.c.leaf_hash, audit_leaf.c.seq).where(
        audit_leaf.c.leaf_hash.in_(hashes)
    )
)
# One statement, so that what is moved never leaves the server. PostgreSQL's alone. Its triggers let
# each row in only at the end of its table: the rows are inserted in order.
_MOVE = f"""
WITH moved AS (
    DELETE FROM audit_staging
    WHERE id IN (SELECT id FROM audit_staging ORDER BY id LIMIT %(most)s)
    RETURNING id, leaf, ciphertext, tag
), numbered AS MATERIALIZED (
    SELECT %(first)s + row_number() OVER (ORDER BY id) - 1 AS seq,
        leaf, sha256('\\x00'::bytea || leaf) AS leaf_hash, ciphertext, tag
    FROM moved
), leaves AS (
    INSERT INTO audit_leaf (seq, leaf, leaf_hash)
    SELECT seq, leaf, leaf_hash FROM numbered ORDER BY seq
), payloads AS (
    INSERT INTO audit_payload (seq, ciphertext)
    SELECT seq, ciphertext FROM numbered ORDER BY seq
), tags AS (
    INSERT INTO audit_subject_index (tag, seq, guard)
    SELECT tag, seq, substr(sha256(%(domain)s::bytea || int8send(seq) || tag), 1, {GUARD_SIZE})
    FROM numbered WHERE tag IS NOT NULL
)
SELECT leaf_hash FROM numbered ORDER BY seq
"""  # noqa: S608


def stage(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert sealed entries: (leaf, ciphertext, tag of the subject or None)."""
    _INSERT(connection, rows)


def integrate(connection: Connection, most: int = BATCH) -> dict[bytes, int]:
    """Move up to `most` staged entries that `connection` sees committed into the log.

    Takes the lock on the head's row first: one transaction at a time.

    Returns:
        The number of each moved leaf, by its hash.
    """
    frontier = tree_rows.locked_frontier(connection)
    values = {"first": frontier.size, "most": most, "domain": GUARD_DOMAIN}
    hashes = [row[0] for row in connection.exec_driver_sql(_MOVE, values)]
    if hashes:
        tree_rows.grow(connection, frontier, hashes)
    return {leaf_hash: seq for seq, leaf_hash in enumerate(hashes, frontier.size)}


def integrate_all(connection: Connection) -> None:
    """Move everything that is staged; for who needs a number at once, or must be the last."""
    while len(integrate(connection)) == BATCH:
        pass


def numbers(connection: Connection, hashes: Iterable[bytes]) -> dict[bytes, int]:
    """The numbers of those leaves that are in the log, by hash."""
    rows = _NUMBERS(connection, sorted(set(hashes)))
    return {row[0]: row[1] for row in rows}
