"""Which leaves are about whom, by keyed tag: without the key nobody can be guessed."""

import hashlib
import hmac
from collections.abc import Sequence

from sqlalchemy import delete, select

from audit.bulk import BulkInsert
from audit.database import Connection
from audit.tables import audit_leaf, audit_subject_index
from protocols.errors import InvalidInput

GUARD_DOMAIN = b"credence/1|audit-index|"
GUARD_SIZE = 8

_INSERT = BulkInsert(audit_subject_index)
_INDEX = audit_subject_index.c


def guard(tag: bytes, seq: int) -> bytes:
    """Checksum of an index row, 8 bytes, so that a verifier without any key sees it damaged."""
    return hashlib.sha256(GUARD_DOMAIN + seq.to_bytes(8, "big") + tag).digest()[:GUARD_SIZE]


class SubjectIndex:
    """The rows of one log's index, under one key."""

    def __init__(self, key: bytes) -> None:
        """Open the index.

        Args:
            key: 32 bytes.
        """
        if len(key) != 32:
            raise InvalidInput("the audit index key must have 32 bytes")
        self._tags = hmac.new(key, b"credence/1|audit-subject|", "sha256")

    def tag(self, subject: bytes) -> bytes:
        """What stands for `subject` in the index, 32 bytes."""
        mac = self._tags.copy()
        mac.update(subject)
        return mac.digest()

    def add(self, connection: Connection, subjects: Sequence[bytes | None], first: int) -> None:
        """Index leaves from `first` on, each by whom it is about, if about anybody."""
        tags = [
            (self.tag(subject), seq)
            for seq, subject in enumerate(subjects, first)
            if subject is not None
        ]
        _INSERT(connection, [(tag, seq, guard(tag, seq)) for tag, seq in tags])

    def drop(self, connection: Connection, subject: bytes) -> int:
        """Forget which leaves are about `subject`; how many were."""
        statement = delete(audit_subject_index).where(_INDEX.tag == self.tag(subject))
        return connection.execute(statement).rowcount

    def about(self, connection: Connection, subject: bytes) -> list[int]:
        """Numbers of the leaves about `subject`, in order."""
        query = select(_INDEX.seq).where(_INDEX.tag == self.tag(subject)).order_by(_INDEX.seq)
        return list(connection.execute(query).scalars())

    def newest(
        self, connection: Connection, subject: bytes, before: int | None, limit: int
    ) -> list[tuple[int, bytes, bytes]]:
        """Up to `limit` (seq, leaf, leaf hash) about `subject`, the newest first."""
        query = (
            select(audit_leaf.c.seq, audit_leaf.c.leaf, audit_leaf.c.leaf_hash)
            .join(audit_subject_index, _INDEX.seq == audit_leaf.c.seq)
            .where(_INDEX.tag == self.tag(subject))
            .order_by(_INDEX.seq.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(_INDEX.seq < before)
        return [(row.seq, row.leaf, row.leaf_hash) for row in connection.execute(query)]

    def holds(self, connection: Connection, subject: bytes, seq: int) -> bool:
        """Whether leaf `seq` is about `subject`."""
        query = select(_INDEX.seq).where(_INDEX.tag == self.tag(subject), _INDEX.seq == seq)
        return connection.execute(query).first() is not None
