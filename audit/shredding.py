"""One data key per (subject, purpose); to forget a person is to destroy keys.

The keys live in a database of their own, `datakeys.db`, each sealed under a key derived from the
node's key-encryption key, and subjects stand there only as keyed tags. No key is cached: another
process may destroy it at any moment, and a cached key would bring it back. Erasure deletes the
rows (SQLite overwrites them: `secure_delete`) and empties the write-ahead log, so that not even a
sealed key stays in a file. A backup of `datakeys.db` is out of reach: keep such backups for no
longer than an erasure may take.
"""

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Column, MetaData, String, Table, delete, inspect, select

from audit.bulk import Blob, BulkInsert, Row, SelectByKeys
from audit.database import Connection, Database
from protocols import aead
from protocols.errors import InvalidInput, NotFound

NO_SUBJECT = b""
"""Subject of the keys for entries that are about nobody."""

metadata = MetaData()

data_key = Table(
    "data_key",
    metadata,
    Column("subject_tag", Blob(32), primary_key=True),
    Column("purpose", String(32), primary_key=True),
    Column("key_id", Blob(16), nullable=False, unique=True),
    Column("sealed", Blob, nullable=False),
)

_OF_SUBJECTS = SelectByKeys(
    lambda tags: select(
        data_key.c.subject_tag, data_key.c.purpose, data_key.c.key_id, data_key.c.sealed
    ).where(data_key.c.subject_tag.in_(tags))
)

_BY_ID = SelectByKeys(
    lambda ids: select(
        data_key.c.subject_tag, data_key.c.purpose, data_key.c.key_id, data_key.c.sealed
    ).where(data_key.c.key_id.in_(ids))
)

_INSERT = BulkInsert(data_key)

Pair = tuple[bytes, str]
"""(subject or NO_SUBJECT, purpose)."""


class PayloadErased(NotFound):
    """The key of a payload was destroyed at the subject's request; nobody can read it any more."""

    code = "payload_erased"
    next_step = "Nothing to do: the leaf and its proofs stay valid, the content is gone."


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data key and the id under which ciphertexts name it."""

    key_id: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What `erase` did.

    Attributes:
        keys: how many data keys were destroyed.
        scrubbed: whether no file of the database holds them any more, sealed as they were. False
            when a reader kept the write-ahead log busy (`scrub` again later) and always on a
            server database, which has its own vacuum.
    """

    keys: int
    scrubbed: bool


class DataKeys:
    """The data keys in one database.

    A key is committed here before the leaf that needs it commits in the log's database: a crash
    between leaves a key without a leaf, never a leaf without a key.
    """

    def __init__(self, database: Database, kek: bytes) -> None:
        """Open the keys, and create their table in a new database.

        Args:
            database: `datakeys.db`; never the database of the log itself.
            kek: the node's key-encryption key, 32 bytes.
        """
        if len(kek) != 32:
            raise InvalidInput("the key-encryption key must have 32 bytes")
        self._database = database
        self._tags = hmac.new(_derive(kek, b"tag"), digestmod="sha256")
        self._seal_key = _derive(kek, b"seal")
        with database.read() as connection:
            exists = inspect(connection).has_table(data_key.name)
        if not exists:
            with database.write() as connection:
                metadata.create_all(connection)

    def keys_for(self, pairs: Iterable[Pair]) -> dict[Pair, DataKey]:
        """The key of every (subject, purpose); new ones are made and committed at once."""
        wanted = set(pairs)
        with self._database.glance() as connection:
            found = self._load(connection, wanted)
        if len(found) == len(wanted):
            return found
        with self._database.write() as connection:
            # Again, now under the write lock: another process may have made some meanwhile.
            found = self._load(connection, wanted)
            made = {pair: _new_key() for pair in sorted(wanted - found.keys())}
            _INSERT(connection, [self._row(pair, key) for pair, key in made.items()])
        return found | made

    def key(self, key_id: bytes) -> DataKey:
        """The key that a ciphertext names.

        Raises:
            PayloadErased: it was destroyed.
        """
        query = select(data_key).where(data_key.c.key_id == key_id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise PayloadErased("the key of this payload was destroyed")
        return self._open(row.subject_tag, row.purpose, row.key_id, row.sealed)

    def keys_of(self, key_ids: Iterable[bytes]) -> dict[bytes, DataKey]:
        """The keys that ciphertexts name, by id; a destroyed one is absent."""
        with self._database.read() as connection:
            rows = _BY_ID(connection, sorted(set(key_ids)))
            return {key_id: self._open(tag, purpose, key_id, sealed)
                    for tag, purpose, key_id, sealed in rows}  # fmt: skip

    def erase(self, subject: bytes) -> Erasure:
        """Destroy all keys of `subject`, for good.

        Raises:
            InvalidInput: `subject` is empty, which stands for the entries about nobody.
        """
        if subject == NO_SUBJECT:
            raise InvalidInput("no subject given to erase")
        statement = delete(data_key).where(data_key.c.subject_tag == self._tag(subject))
        with self._database.write() as connection:
            keys = connection.execute(statement).rowcount
        return Erasure(keys=keys, scrubbed=self._database.scrub())

    def _load(self, connection: Connection, wanted: set[Pair]) -> dict[Pair, DataKey]:
        subjects = {self._tag(subject): subject for subject, _ in wanted}
        found: dict[Pair, DataKey] = {}
        for tag, purpose, key_id, sealed in _OF_SUBJECTS(connection, list(subjects)):
            pair = (subjects[tag], purpose)
            if pair in wanted:
                found[pair] = self._open(tag, purpose, key_id, sealed)
        return found

    def _row(self, pair: Pair, key: DataKey) -> Row:
        subject, purpose = pair
        tag = self._tag(subject)
        sealed = aead.encrypt(self._seal_key, key.key, _row_identity(tag, purpose, key.key_id))
        return tag, purpose, key.key_id, sealed

    def _open(self, tag: bytes, purpose: str, key_id: bytes, sealed: bytes) -> DataKey:
        identity = _row_identity(tag, purpose, key_id)
        return DataKey(key_id=key_id, key=aead.decrypt(self._seal_key, sealed, identity))

    def _tag(self, subject: bytes) -> bytes:
        mac = self._tags.copy()
        mac.update(subject)
        return mac.digest()


def _new_key() -> DataKey:
    return DataKey(key_id=os.urandom(16), key=os.urandom(32))


def _derive(kek: bytes, use: bytes) -> bytes:
    return hmac.digest(kek, b"credence/1|datakeys|" + use, "sha256")


def _row_identity(tag: bytes, purpose: str, key_id: bytes) -> bytes:
    """Associated data of a sealed key: it cannot be moved to another row."""
    return b"credence/1|datakey|" + tag + key_id + purpose.encode()
