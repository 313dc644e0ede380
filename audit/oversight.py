"""A supervisor's reads of a log and of the tables beside it, each of which leaves a leaf.

1. Whatever a supervisor is shown was read in a transaction that says so: the leaf
   `regulator.read` names who, which page and what was asked, and the article it rests on. Where it
   cannot be written, nothing is shown.
2. What a leaf commits to is shown only after a leaf `regulator.disclosure` with the basis it rests
   on has been committed.
3. The payload of a leaf about a person is shown under a disclosure about that person alone.
4. A root is signed only once it is committed, so a proof is made after the leaf of its reading.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.checkpoint import NoteKey, sign_checkpoint, signer_of
from audit.database import Connection, Database
from audit.incidents import every
from audit.leaf import Entry, Opening
from audit.ranges import export_range
from audit.search import is_about_somebody, leaf_at
from audit.store import AuditLog, StoredLeaf
from audit.verifier.note import Checkpoint, Note
from audit.verifier.policy import Policy
from audit.witness_state import DEGRADED_S, require_signable
from audit.witness_store import latest_witnessed, newest_witnessed
from protocols.errors import CredenceError, InvalidInput
from protocols.identifiers import new_id
from protocols.keys import SigningKey

MANDATE = "CRIR 33"
"""Credit Reporting Industry Regulation, article 33: the supervisor's power to inspect."""
PURPOSE = "oversight"
READ, DISCLOSURE = "regulator.read", "regulator.disclosure"
PROOF_FORMAT = "credence.oversight-proof/1"
MAX_REFERENCE = 80


class LeafAboutPerson(CredenceError):
    """What this leaf commits to is about a person; it is disclosed with a basis about them."""

    code = "leaf_about_person"
    category = "forbidden"
    next_step = "Record the person's request or a warrant first, then choose it from their leaves."


@dataclass(frozen=True, slots=True)
class Basis:
    """What a disclosure rests on.

    Attributes:
        kind: `person_request`, `warrant` or, of what is about nobody, `inspection`.
        reference: its number or file, 1 to 80 printable characters; names no person.
    """

    kind: str
    reference: str

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            InvalidInput: another kind, or no reference.
        """
        if self.kind not in BASES:
            raise InvalidInput(f"a basis is one of {', '.join(BASES)}")
        text = self.reference
        if not text.strip() or len(text) > MAX_REFERENCE or not text.isprintable():
            raise InvalidInput(f"a basis has a reference of up to {MAX_REFERENCE} characters")


BASES = ("person_request", "warrant", "inspection")
ABOUT_PEOPLE = ("person_request", "warrant")


@dataclass(frozen=True, slots=True)
class Disclosed:
    """A leaf and what is behind it: `audit.leaf.commitment(salt, payload)` is its `pc`."""

    disclosure_id: str
    stored: StoredLeaf
    opening: Opening


@dataclass(frozen=True, slots=True)
class LogHealth:
    """How a log stands with its witnesses.

    Attributes:
        origin: its name.
        size: leaves, those of the reading transaction too.
        witnessed_size: of the newest head that was witnessed; None: none was.
        witnessed_at_ms: when that was.
        forked: whether a fork or an old backup was found and is not settled.
        now_ms: when this was read.
    """

    origin: str
    size: int
    witnessed_size: int | None
    witnessed_at_ms: int | None
    forked: bool
    now_ms: int

    @property
    def state(self) -> str:
        """`broken`, `unwitnessed`, `degraded` (no witness for minutes) or `witnessed`."""
        if self.forked:
            return "broken"
        if self.witnessed_at_ms is None:
            return "unwitnessed"
        late = self.now_ms - self.witnessed_at_ms > DEGRADED_S * 1000
        return "degraded" if late else "witnessed"


class Oversight:
    """Reads with their leaves; thread-safe.

    Args:
        database: of the log.
        log: the log.
        signing_key: signs its checkpoints.
        clock: UTC milliseconds.
        policy: whose cosignatures count.
    """

    def __init__(
        self,
        database: Database,
        log: AuditLog,
        signing_key: Callable[[], SigningKey],
        clock: Callable[[], int],
        policy: Callable[[], Policy],
    ) -> None:
        self.database = database
        self.log = log
        self.clock = clock
        self.policy = policy
        self._signing_key = signing_key

    @contextmanager
    def reading(
        self, reader: str, page: str, query: Mapping[str, str | int | None] | None = None
    ) -> Iterator[Connection]:
        """A transaction to read in, with its leaf (1); what was read may be shown after it."""
        asked = {name: said for name, said in (query or {}).items() if said not in {None, ""}}
        with self.database.write() as connection:
            payload = {"page": page, "query": asked, "basis": MANDATE}
            self.log.append(connection, self._entry(READ, reader, payload))
            yield connection

    def health(self, connection: Connection) -> LogHealth:
        """How the log stands, in the caller's transaction."""
        head = self.log.head(connection)
        signed = newest_witnessed(connection)
        incidents = [one for one in every(connection) if one.is_open]
        return LogHealth(
            origin=self.log.origin,
            size=head.size,
            witnessed_size=None if signed is None else signed.checkpoint.size,
            witnessed_at_ms=None if signed is None else signed.witnessed_at_ms,
            forked=any(one.kind in {"fork_evidence", "quarantine"} for one in incidents),
            now_ms=self.clock(),
        )

    def prove(self, reader: str, seq: int, seen: int | None = None) -> dict[str, Any]:
        """One leaf, its way to a signed root, and that root's way from earlier ones, as JSON.

        Args:
            reader: who asks.
            seq: which leaf.
            seen: size of a head that the reader has seen before.

        Raises:
            LeafNotFound: there is none by that number.
        """
        with self.reading(reader, "proof", {"seq": seq, "seen": seen}):
            pass  # 4
        with self.database.read() as connection:
            stored = leaf_at(self.log, connection, seq)
            head = self.log.head(connection)
            require_signable(connection)
            key = self._signing_key()
            note = sign_checkpoint(Checkpoint(self.log.origin, head.size, head.root), key)
            witnessed = latest_witnessed(connection) or None
            old, old_key = None, None
            if witnessed is not None:
                old = Checkpoint.parse(Note.parse(witnessed).text)
                # The log's key may have been replaced since.
                had = [NoteKey(old.origin, one.key) for one in self.policy().log_keys]
                old_key = signer_of(witnessed, had)
            return {
                "format": PROOF_FORMAT,
                "seq": seq,
                "leaf": stored.leaf.decode("ascii"),
                "path": _hex(self.log.inclusion_proof(seq, head.size, connection)),
                "checkpoint": note.decode("utf-8"),
                "key": NoteKey(self.log.origin, key.verify_key).encode(),
                "witnessed": None if witnessed is None else witnessed.decode("utf-8"),
                "witnessed_key": old_key and old_key.encode(),
                "from_witnessed": self._consistency(
                    connection, None if old is None else old.size, head.size
                ),
                "from_seen": self._consistency(connection, seen, head.size),
            }

    def export(self, file: Path, start: int, end: int | None) -> None:
        """Write a signed range of the log; its reading was logged before (4).

        Raises:
            InvalidInput: there is no such range.
            LogDamaged, ExportFailed: see `audit.ranges.export_range`.
        """
        export_range(self.database, self.log, self._signing_key, file, start, end)

    def disclose(self, reader: str, seq: int, basis: Basis) -> Disclosed:
        """What a leaf about nobody commits to.

        Raises:
            LeafNotFound: no such leaf.
            LeafAboutPerson: rule 3.
            PayloadErased: its key was destroyed.
        """
        with self.database.write() as connection:
            leaf_at(self.log, connection, seq)
            if is_about_somebody(connection, seq):  # 3
                raise LeafAboutPerson(f"leaf {seq} is about a person")
            disclosure_id = self.record(connection, reader, basis, None, {"seq": seq})  # 2
        return self.opened(disclosure_id, seq)

    def record(
        self,
        connection: Connection,
        reader: str,
        basis: Basis,
        subject: bytes | None,
        facts: Mapping[str, str | int],
    ) -> str:
        """Append the leaf of a disclosure in the caller's transaction; the disclosure's id."""
        disclosure_id = new_id("dsc")
        payload = {"basis": basis.kind, "reference": basis.reference, **facts}
        entry = self._entry(DISCLOSURE, reader, payload, subject, disclosure_id)
        self.log.append(connection, entry)
        return disclosure_id

    def opened(self, disclosure_id: str, seq: int) -> Disclosed:
        """What a leaf commits to, once its disclosure is committed.

        Raises:
            PayloadErased: its key was destroyed.
        """
        with self.database.read() as connection:
            stored = leaf_at(self.log, connection, seq)
            return Disclosed(disclosure_id, stored, self.log.opening(seq, connection))

    def _consistency(self, connection: Connection, old: int | None, size: int) -> list[str] | None:
        if old is None or not 0 < old <= size:
            return None
        return _hex(self.log.consistency_proof(old, size, connection))

    def _entry(
        self,
        kind: str,
        reader: str,
        payload: Mapping[str, Any],
        subject: bytes | None = None,
        correlation: str = "",
    ) -> Entry:
        return Entry(
            kind=kind,
            actor=reader,
            purpose=PURPOSE,
            correlation=correlation,
            payload=payload,
            subject=subject,
            at_ms=self.clock(),
        )


def _hex(hashes: list[bytes]) -> list[str]:
    return [one.hex() for one in hashes]
