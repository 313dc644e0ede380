"""Who looked at a person's data: the node's audit log, as far as it is about them.

Each entry is a leaf of the tamper-evident log, so that the person can check that it stands there
and says what they are shown (`proof`). What is shown of an entry is read from the very payload
that its leaf commits to.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from audit.database import Connection, Database
from audit.receipts import Receipt, prove
from audit.store import AuditLog, StoredLeaf
from audit.verifier.policy import Policy
from audit.witness_store import latest_witnessed
from node.storage import clients
from protocols.directory import Directory, UnknownMember
from protocols.errors import CredenceError, NotFound
from protocols.keys import SigningKey

LOOKS = ("exchange.", "score.", "staff.", "regulator.")
"""Kinds of entries in which somebody looked, or asked to."""

_MARKS = tuple(f'"kind":"{kind}'.encode() for kind in LOOKS)
PAGE = 25
MAX_PAGE = 200
_SCAN = 400  # leaves read at a time while looking for those of a kind
_MAX_SCANNED = 4000


class AccessEntryUnknown(NotFound):
    """There is no entry of this person by that number."""

    code = "access_entry_unknown"
    next_step = "Choose an entry of your own list."


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One thing that was done with a person's data.

    Attributes:
        seq: its place in the log.
        kind: what it was, for example `exchange.released`.
        at_ms: when, UTC milliseconds.
        actor: who did it: a member or client id, or a role.
        actor_name: the legal name of a member, the name of a client, else `actor`.
        purpose: what for, or empty.
        peer: the other member, or empty.
        peer_name: its legal name.
        refusal: stable code when it was refused, else empty.
        signals: ids of the signals that were given.
        consent_id: the consent it rests on, where the entry names one by id.
        score: points, when a score was given.
        erased: the content was destroyed at the person's request; the entry itself stays.
    """

    seq: int
    kind: str
    at_ms: int
    actor: str
    actor_name: str
    purpose: str
    peer: str = ""
    peer_name: str = ""
    refusal: str = ""
    signals: tuple[str, ...] = ()
    consent_id: str = ""
    score: int | None = None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class AccessPage:
    """Some entries, the newest first; `older` is where the next page begins, None at the end."""

    entries: tuple[AccessEntry, ...]
    older: int | None


class AccessLog:
    """Reads a person's part of the log; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        signing_key: Callable[[], SigningKey],
        directory: Callable[[], Directory],
        policy: Callable[[], Policy],
    ) -> None:
        """Read `audit` in `database`; `policy` says whose cosignatures of it count."""
        self.policy = policy
        self._database = database
        self._audit = audit
        self._key = signing_key
        self._directory = directory

    def page(
        self,
        pseudonym: bytes,
        *,
        before: int | None = None,
        limit: int = PAGE,
        looks_only: bool = True,
    ) -> AccessPage:
        """A page of the person's entries.

        Args:
            pseudonym: the person, 32 bytes.
            before: only entries before this place in the log; None: from the newest on.
            limit: at most this many, up to `MAX_PAGE`.
            looks_only: leave out what the person did themselves, such as consents.
        """
        limit = min(limit, MAX_PAGE)
        with self._database.read() as connection:
            leaves, older = self._collect(connection, pseudonym, before, limit, looks_only)
            entries = self._entries(connection, leaves)
        return AccessPage(entries, older)

    def everything(self, pseudonym: bytes) -> tuple[AccessEntry, ...]:
        """All entries about the person, the newest first."""
        with self._database.read() as connection:
            leaves = self._audit.newest_about(pseudonym, limit=1_000_000, connection=connection)
            return self._entries(connection, leaves)

    def proof(self, pseudonym: bytes, seq: int) -> Receipt:
        """The proof of one entry of the person.

        Raises:
            AccessEntryUnknown: it is about somebody else, or there is none: no difference is made.
            PayloadErased: its content was destroyed.
        """
        with self._database.read() as connection:
            if not self._audit.is_about(seq, pseudonym, connection):
                raise AccessEntryUnknown("no entry of this person by that number")
            witnessed = latest_witnessed(connection) or None
            return prove(self._audit, connection, seq, self._key(), witnessed)

    def _collect(
        self,
        connection: Connection,
        pseudonym: bytes,
        before: int | None,
        limit: int,
        looks_only: bool,
    ) -> tuple[list[StoredLeaf], int | None]:
        found: list[StoredLeaf] = []
        scanned = 0
        size = _SCAN if looks_only else limit + 1
        while True:
            leaves = self._audit.newest_about(
                pseudonym, before=before, limit=size, connection=connection
            )
            for leaf in leaves:
                if len(found) == limit:
                    return found, found[-1].seq
                if not looks_only or is_look(leaf.leaf):
                    found.append(leaf)
                before = leaf.seq
            scanned += len(leaves)
            if len(leaves) < size:
                return found, None
            if scanned >= _MAX_SCANNED:
                return found, before

    def _entries(
        self, connection: Connection, leaves: Sequence[StoredLeaf]
    ) -> tuple[AccessEntry, ...]:
        names = _Names(connection, self._directory)
        payloads = self._audit.payloads([leaf.seq for leaf in leaves], connection)
        return tuple(_entry(leaf, payloads.get(leaf.seq), names) for leaf in leaves)


def _entry(leaf: StoredLeaf, found: dict[str, Any] | None, names: "_Names") -> AccessEntry:
    fields: dict[str, Any] = json.loads(leaf.leaf)
    payload = found or {}
    kind, peer = str(fields["kind"]), str(payload.get("peer", ""))
    consent_id = fields["correlation"] if kind.startswith("consent.") else ""
    score = payload.get("score")
    return AccessEntry(
        seq=leaf.seq,
        kind=kind,
        at_ms=fields["at_ms"],
        actor=fields["actor"],
        actor_name=names.of(fields["actor"]),
        purpose=fields["purpose"],
        peer=peer,
        peer_name=names.of(peer),
        refusal=str(payload.get("refusal", "")),
        signals=tuple(map(str, payload.get("signals", ()))),
        consent_id=str(payload.get("consent_id", consent_id)),
        score=score if isinstance(score, int) else None,
        erased=found is None,
    )


def is_look(leaf: bytes) -> bool:
    """Whether a leaf says that somebody looked, or asked to."""
    # A leaf's names hold no quotation mark (`audit.leaf`), so that this is its kind and no other.
    return any(mark in leaf for mark in _MARKS)


class _Names:
    """Names of members and clients, each read once."""

    def __init__(self, connection: Connection, directory: Callable[[], Directory]) -> None:
        self._connection = connection
        self._known: dict[str, str] = {"": ""}
        try:
            self._directory: Directory | None = directory()
        except CredenceError:  # not joined: ids have to do
            self._directory = None

    def of(self, actor: str) -> str:
        """The name, or the id where there is none."""
        if actor not in self._known:
            self._known[actor] = self._member(actor) or self._client(actor) or actor
        return self._known[actor]

    def _member(self, actor: str) -> str | None:
        try:
            return None if self._directory is None else self._directory.member(actor).name
        except UnknownMember:
            return None

    def _client(self, actor: str) -> str | None:
        if not actor.startswith("cli_"):
            return None
        found = clients.find(self._connection, actor)
        return None if found is None else found.name
