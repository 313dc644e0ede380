"""Signs and keeps the network's documents; the newest of a kind is in force.

Nodes read from a directory's time of issue that nobody keeps a newer one from them. So one is
issued every few minutes even when nothing has changed.
"""

from collections.abc import Callable
from dataclasses import replace

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from coordinator.membership.authority import ACTOR
from coordinator.storage import documents
from protocols.directory import Directory, MemberEntry
from protocols.documents import Document, sign_document, verify_document
from protocols.errors import NotFound
from protocols.keys import SigningKey

Change = Callable[[tuple[MemberEntry, ...]], tuple[MemberEntry, ...]]


class Publisher:
    """Publishes documents and logs why; thread-safe."""

    def __init__(self, database: Database, audit: AuditLog, key: SigningKey) -> None:
        """Publish in `database`, signed with the network's directory key."""
        self.database = database
        self.key = key
        self.audit = audit
        self._held: Directory | None = None

    def document(self, kind: str) -> Document:
        """The document of `kind` in force, as members are given it.

        Raises:
            NotFound: none was published.
        """
        with self.database.read() as connection:
            return in_force(connection, kind)

    def directory(self) -> Directory:
        """The directory in force, as it was signed; parsed once a version."""
        held = self._held
        with self.database.read() as connection:
            version = documents.newest_version(connection, "directory")
            if held is None or held.version != version:
                held = Directory.from_body(in_force(connection, "directory").body)
        self._held = held
        return held

    def publish(self, connection: Connection, change: Change, now_ms: int) -> Document:
        """Sign and store the next directory, its members changed by `change`.

        Raises:
            SignatureInvalid: the directory in force was changed in the database.
        """
        current = self._current(connection)
        entries = change(current.members if current else ())
        following = Directory(
            version=current.version + 1 if current else 1,
            issued_at_ms=max(now_ms, current.issued_at_ms) if current else now_ms,
            epoch=current.epoch if current else 0,
            members=tuple(sorted(entries, key=lambda entry: entry.member_id)),
            directory_key=self.key.verify_key.bytes,
        )
        document = sign_document("directory", following.to_body(), self.key)
        documents.publish(connection, document, now_ms)
        return document

    def change_member(
        self,
        connection: Connection,
        member_id: str,
        change: Callable[[MemberEntry], MemberEntry],
        now_ms: int,
    ) -> Document:
        """Publish the next directory with one member's entry changed.

        Raises:
            NotFound: no member by that id.
        """

        def changed(held: tuple[MemberEntry, ...]) -> tuple[MemberEntry, ...]:
            if all(entry.member_id != member_id for entry in held):
                raise NotFound(f"no member {member_id}")
            return tuple(change(one) if one.member_id == member_id else one for one in held)

        return self.publish(connection, changed, now_ms)

    def reissue_if_older_than(self, seconds: float, now_ms: int) -> bool:
        """Issue the same directory anew when it is older; whether it was.

        It says nothing new, so it is no act to be logged; and of directories that differ in their
        time of issue only, the newest is kept.
        """
        if now_ms - self.directory().issued_at_ms < seconds * 1000:
            return False
        with self.database.write() as connection:
            current = self._current(connection)
            if current is None or now_ms - current.issued_at_ms < seconds * 1000:
                return False
            self.publish(connection, lambda held: held, now_ms)
            before = documents.before(connection, "directory", current.version)
            if before is not None and _says_the_same(before, current):
                documents.delete(connection, "directory", current.version)
        return True

    def newest(self, connection: Connection) -> Directory:
        """The directory in force inside a transaction, verified.

        Raises:
            NotFound: none was published.
        """
        current = self._current(connection)
        if current is None:
            raise NotFound("no directory was published")
        return current

    def log(
        self,
        connection: Connection,
        kind: str,
        correlation: str,
        now_ms: int,
        *,
        actor: str = ACTOR,
        **facts: str | int | None,
    ) -> None:
        """Append an act to the log, in the transaction that does it."""
        entry = Entry(kind=kind, actor=actor, purpose="membership", correlation=correlation,
                      payload=facts, subject=None, at_ms=now_ms)  # fmt: skip
        self.audit.append(connection, entry)

    def _current(self, connection: Connection) -> Directory | None:
        held = documents.newest(connection, "directory")
        if held is None:
            return None
        # What is built upon is verified first: a changed row must not be signed anew.
        verify_document(held, self.key.verify_key, "directory")
        return Directory.from_body(held.body)


def in_force(connection: Connection, kind: str) -> Document:
    """The newest document of a kind.

    Raises:
        NotFound: none was published.
    """
    document = documents.newest(connection, kind)
    if document is None:
        raise NotFound(f"no {kind} was published")
    return document


def _says_the_same(document: Document, current: Directory) -> bool:
    before = Directory.from_body(document.body)
    return replace(before, version=current.version, issued_at_ms=current.issued_at_ms) == current
