"""Refuses to train on a privacy ledger that was put back, shortened or changed.

What is compared, before this node's people are touched and before every charge:
  1. every line of the ledger with the audit leaf that was written with it: same values, the lines
     numbered without a gap; and no leaf of a charge without a line;
  2. ledger and log with the newest statement that this node signed, kept in a file beside the
     database: no fewer lines, and a log that continues the one of that statement;
  3. the same with the statement that the coordinator kept of what this node sent it, which it hands
     back when the training stream opens; verified by this node's own key.

So it is seen when lines are deleted or changed under the log (1), when the database is put back and
the rest of the home is not (2), and when the whole home is put back, as long as the coordinator is
honest about what it received (3). A ledger whose newest state is lost for good can go on only by
giving up what is left of its budget (`node/federation/ledger_recovery.py`): the line and the leaf
that do so name the statements that hold no more. When the whole home is put back and the
coordinator withholds the statement, or when this node's key was changed since it was signed, the
log's other witnesses see it (`audit.witness_keeper`), and its gate refuses the campaign.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from audit.database import Connection, Database
from audit.leaf import parse_leaf
from audit.merkle import verify_consistency
from audit.store import AuditLog, Head
from node.network.joining import replace_file
from node.storage import privacy_ledger as rows
from protocols.aead import decrypt, encrypt
from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.errors import CredenceError, StateConflict
from protocols.keys import SigningKey
from protocols.ledger_statement import LedgerStatement, read_statement

log = structlog.get_logger(__name__)

STATEMENT_FILE = "ledger.statement"
CHARGE_KIND = "training.round"
RECOVERY = "ledger_recovery"  # the mechanism of lines that stand for lost ones


class LedgerRolledBack(StateConflict):
    """The privacy ledger, or the log beside it, is older than what this node signed before."""

    code = "ledger_rolled_back"
    next_step = (
        "Bring the newest database back. If it is lost for good, see "
        "`credence node recover-ledger`: it counts the whole budget as spent."
    )


@dataclass(frozen=True)
class _Signed:
    """What a statement said: lines of the ledger, the log's head; when, and its SHA-256."""

    charges: int
    log: Head
    at_ms: int
    digest: bytes


@dataclass(frozen=True)
class Lost:
    """What was signed before and is there no more.

    Attributes:
        charges: the largest count of lines that was signed.
        at_ms: when the newest of these statements was signed, UTC milliseconds.
        digests: SHA-256 of each, hex.
    """

    charges: int
    at_ms: int
    digests: tuple[str, ...]


class LedgerGuard:
    """Watches one population's ledger. For one thread at a time.

    Args:
        home: where the newest statement is kept.
        database: the node's.
        audit: the node's log.
        member_id: this node, whose people are one population.
        signing: this node's key.
        kek: seals the log's size and root in a statement, 32 bytes.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(
        self,
        *,
        home: Path,
        database: Database,
        audit: AuditLog,
        member_id: str,
        signing: Callable[[], SigningKey],
        kek: bytes,
        now_ms: Callable[[], int],
    ) -> None:
        self._file = home / STATEMENT_FILE
        self._database = database
        self._audit = audit
        self._member_id = member_id
        self._signing = signing
        self._kek = kek
        self._aad = b"credence/1|ledger-log|" + member_id.encode()
        self._now_ms = now_ms
        self._known: list[_Signed] | None = None
        self._sound = False

    def remind(self, statement: bytes) -> None:
        """Take what the coordinator kept of this ledger; what this node did not sign is nothing."""
        if not statement:
            return
        found = self._read(statement)
        if found is None:
            log.warning("ledger.reminder_ignored")
            return
        known = self._statements()
        if found in known:
            return
        if self._holds(found) and all(
            found.log.size > one.log.size for one in known if self._holds(one)
        ):
            replace_file(self._file, statement)  # it holds from now on, whoever reminds us again
        known.append(found)
        self._sound = False

    def require(self) -> None:
        """Compare everything; after the first time, only how far ledger and log have come.

        Raises:
            LedgerRolledBack: they are behind or beside what was signed, or the ledger was changed.
        """
        with self._database.read() as connection:
            self.require_ahead(connection)
            if self._sound:
                return
            for one in self._holding(connection):
                self._require_continued(connection, one.log)
            self._require_lines(connection)
        self._sound = True

    def require_ahead(self, connection: Connection) -> None:
        """Compare how far ledger and log have come with all that was signed.

        Raises:
            LedgerRolledBack: they are behind.
        """
        charges = rows.count(connection, self._member_id)
        size = self._audit.head(connection).size
        for one in self._holding(connection):
            if charges < one.charges or size < one.log.size:
                raise LedgerRolledBack(
                    f"the ledger has {charges} lines and the log {size} leaves; this node signed "
                    f"{one.charges} and {one.log.size} before"
                )

    def statement(self) -> bytes:
        """Sign how far everything committed has come, keep it, and give it to be sent.

        Raises:
            LedgerRolledBack: it is behind what was signed before.
        """
        with self._database.read() as connection:
            self.require_ahead(connection)
            head = self._audit.head(connection)
            charges = rows.count(connection, self._member_id)
        sealed = encrypt(self._kek, _log_body(head), self._aad)
        made = LedgerStatement(self._member_id, charges, sealed, self._now_ms())
        signed = made.sign(self._signing())
        replace_file(self._file, signed)
        self._known = [_Signed(charges, head, made.at_ms, sha256(signed))]
        return signed

    def lost(self, connection: Connection) -> Lost | None:
        """What was signed before and is not continued by ledger and log as they are; None: nothing.

        Raises:
            LedgerRolledBack: lines of the ledger are not those in the log: nothing gives that back.
        """
        behind = []
        for one in self._holding(connection):
            try:
                self._require_continued(connection, one.log)
            except LedgerRolledBack:
                behind.append(one)
                continue
            if rows.count(connection, self._member_id) < one.charges:
                behind.append(one)
        self._require_lines(connection)
        if not behind:
            return None
        return Lost(
            charges=max(one.charges for one in behind),
            at_ms=max(one.at_ms for one in behind),
            digests=tuple(sorted(one.digest.hex() for one in behind)),
        )

    def _holding(self, connection: Connection) -> list[_Signed]:
        """Statements that ledger and log must continue: not those given up for lost."""
        given_up = self._given_up(connection) if self._statements() else []
        return [one for one in self._statements() if not _covered(one, given_up)]

    def _holds(self, one: _Signed) -> bool:
        with self._database.read() as connection:
            return not _covered(one, self._given_up(connection))

    def _given_up(self, connection: Connection) -> list[Lost]:
        leaves = rows.leaves_of(connection, self._member_id, RECOVERY)
        found = self._audit.payloads(leaves, connection) if leaves else {}
        return [
            Lost(int(one["lost_charges"]), int(one["lost_at_ms"]), tuple(one["lost"]))
            for one in found.values()
        ]

    def _statements(self) -> list[_Signed]:
        if self._known is None:
            kept = self._file.read_bytes() if self._file.exists() else b""
            found = self._read(kept) if kept else None
            self._known = [] if found is None else [found]
        return self._known

    def _read(self, data: bytes) -> _Signed | None:
        try:
            found = read_statement(data, self._signing().verify_key, self._member_id)
            fields = parse_canonical(decrypt(self._kek, found.log, self._aad), max_bytes=1024)
            head = Head(int(fields["size"]), bytes.fromhex(fields["root"]))
        except CredenceError:
            return None  # of a key that was replaced since, or of nobody's
        return _Signed(found.charges, head, found.at_ms, sha256(data))

    def _require_continued(self, connection: Connection, then: Head) -> None:
        now = self._audit.head(connection)
        if then.size == 0:
            return
        if then.size > now.size:
            raise LedgerRolledBack(
                f"the log has {now.size} leaves; this node signed {then.size} before"
            )
        try:
            proof: list[bytes] = []
            if then.size != now.size:
                proof = self._audit.consistency_proof(then.size, now.size, connection)
            verify_consistency(then.size, now.size, then.root, now.root, proof)
        except CredenceError as error:
            raise LedgerRolledBack(
                f"the log does not continue the one of {then.size} leaves that was signed"
            ) from error

    def _require_lines(self, connection: Connection) -> None:
        lines = rows.charge_lines(connection, self._member_id)
        payloads = self._audit.payloads([one.leaf_seq for one in lines], connection)
        for number, line in enumerate(lines, 1):
            told = payloads.get(line.leaf_seq, {})
            if (told.get("charge"), *(told.get(name) for name in _COMPARED)) != (
                number,
                *(getattr(line, name) for name in _COMPARED),
            ):
                raise LedgerRolledBack(f"line {number} of the ledger is not the one in the log")
        known, size = {one.leaf_seq for one in lines}, self._audit.head(connection).size
        # Leaves before the last line are numbered without a gap, by what was compared above.
        for leaf in self._audit.leaves(connection, max(known, default=-1) + 1, size):
            if CHARGE_KIND.encode() in leaf.leaf and parse_leaf(leaf.leaf)["kind"] == CHARGE_KIND:
                raise LedgerRolledBack(f"leaf {leaf.seq} is of a charge that is not in the ledger")


def _covered(one: _Signed, given_up: list[Lost]) -> bool:
    # By name, or older and shorter than what was given up: the coordinator may have kept that one.
    return any(
        one.digest.hex() in lost.digests
        or (one.charges <= lost.charges and one.at_ms <= lost.at_ms)
        for lost in given_up
    )


def _log_body(head: Head) -> bytes:
    return canonical_json({"size": head.size, "root": head.root.hex()})


_COMPARED = (
    "round",
    "mechanism",
    "noise_multiplier",
    "own_noise_multiplier",
    "sampling_rate",
    "epsilon_after",
    "epsilon_alone_after",
    "delta",
)
