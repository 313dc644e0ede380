"""A log's side of witnessing: its epochs, its signed heads, and what witnesses say of them.

A head is signed only after this process has heard from enough witnesses what they hold of the log
(`hear`): a program that was started on an old backup would else sign a second head at a size that
was witnessed before. What a witness holds is a note signed by this log's own key, so that no
witness can make it up; one that is ahead of the log, or that the log does not continue, is proof
that an older state was put back, or that history was changed. Then the log goes on in a new
*epoch*, under a new origin (`<origin>/2`, …), and the first leaf of that epoch, `log.continued`,
names the head that was lost: its size and root openly in the leaf, the whole note in the payload.
Nothing is signed under the old origin again, and nothing under the new one before an operator has
confirmed it (`confirm`): until then the newest database may be brought back as if nothing had been.
"""

import base64
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from audit import witness_store as store
from audit.checkpoint import sign_checkpoint
from audit.database import Connection, Database
from audit.incidents import close_standing, open_incident
from audit.leaf import Entry
from audit.merkle import ProofInvalid, verify_consistency
from audit.store import AuditLog
from audit.verifier.cosignature import CosignatureKey, cosignature_of
from audit.verifier.note import Checkpoint, Note, NoteKey
from audit.verifier.policy import Policy
from audit.verifier.policy import Witness as PolicyWitness
from audit.witness_request import encode_request
from audit.witness_store import Epoch, SignedHead
from protocols.errors import CredenceError, StateConflict
from protocols.keys import SigningKey, VerifyKey

FOUNDED = "founded"
AHEAD = "witness_ahead"
DIVERGED = "witness_diverged"
CONTINUED_KIND = "log.continued"
CONFIRMED_KIND = "log.continuation_confirmed"
QUARANTINE = "quarantine"
MAX_REASON = 400

log = structlog.get_logger("audit.witness")


class NothingToConfirm(StateConflict):
    """The log is not in quarantine."""

    code = "log_not_quarantined"
    next_step = "Nothing is to be done; `credence node status` shows how the log stands."


@dataclass(frozen=True, slots=True)
class OwnLog:
    """The log that is kept.

    Attributes:
        base: its first origin.
        actor: who stands in its leaves.
        database: where it is.
        audit: it.
        signing: its key in force.
        keys: all keys it may ever have signed with.
    """

    base: str
    actor: str
    database: Database
    audit: AuditLog
    signing: Callable[[], SigningKey]
    keys: Callable[[], Sequence[VerifyKey]]

    def note_keys(self, origin: str) -> list[NoteKey]:
        """Its keys under the name of an origin."""
        return [NoteKey(origin, key) for key in dict.fromkeys(self.keys())]


def epoch_of(origin: str, base: str) -> int:
    """Which epoch of the log `base` an origin names, from 1; 0: none."""
    if origin == base:
        return 1
    head, slash, number = origin.rpartition("/")
    plain = number.isascii() and number.isdecimal() and len(number) <= 6 and number[0] != "0"
    return int(number) if slash and head == base and plain and number != "1" else 0


def origin_of(base: str, epoch: int) -> str:
    """The origin of an epoch."""
    return base if epoch == 1 else f"{base}/{epoch}"


def origin_in_force(database: Database, base: str) -> str:
    """What the log in `database`, first named `base`, is called now."""
    with database.read() as connection:
        current = store.epoch(connection)
    return base if current is None else current.origin


class LogKeeper:
    """Keeps one log's heads; thread-safe."""

    def __init__(
        self,
        own: OwnLog,
        witnesses: Callable[[], Sequence[PolicyWitness]],
        minimum: int,
        now_ms: Callable[[], int],
    ) -> None:
        """Keep `own`, witnessed by at least `minimum` of the organisations of `witnesses`."""
        self._own = own
        self._witnesses = witnesses
        self._minimum = minimum
        self._now_ms = now_ms
        self._lock = threading.RLock()
        self._heard: set[str] = set()

    @property
    def origin(self) -> str:
        """The origin in force."""
        return self._own.audit.origin

    @property
    def heard(self) -> bool:
        """Whether enough witnesses have said what they hold, since this process started."""
        return len(self._heard) >= self._minimum

    def policy(self) -> Policy:
        """Whose cosignatures count for this log."""
        keys = self._own.note_keys(self.origin)
        return Policy.of(keys, self._witnesses(), self._minimum)

    def open(self) -> Epoch:
        """Open the first epoch if there is none, and name the log after the one in force."""
        with self._lock:
            with self._own.database.write() as connection:
                current = store.epoch(connection)
                if current is None:
                    at_ms = self._now_ms()
                    current = Epoch(1, self._own.base, 0, b"", FOUNDED, at_ms, at_ms, "")
                    store.open_epoch(connection, current)
            self._own.audit.origin = current.origin
            self._check_own()
            return current

    def _check_own(self) -> None:
        """The heads that this home itself remembers to have signed need no witness to show them."""
        held = self.newest()
        if held is not None:
            found = self._contradicted([(held.checkpoint, held.note)])
            if found is not None:
                self._quarantine(*found, self._own.actor)

    # -- what witnesses hold

    def hear(self, organisation: str, notes: Iterable[bytes]) -> bool:
        """Take what a witness holds of this log; whether the log goes on as it was.

        Args:
            organisation: whose witness it is.
            notes: the newest note of every epoch that it has seen; what this log did not sign is
                ignored.
        """
        with self._lock:
            shown = [one for note in notes if (one := self._read(note)) is not None]
            found = self._contradicted(shown)
            if found is not None:
                cause, checkpoint, note = found
                self._quarantine(cause, checkpoint, note, organisation)
                self._heard.clear()  # what others hold of the new origin is to be asked
            self._heard.add(organisation)
            return found is None

    def _read(self, note: bytes) -> tuple[Checkpoint, bytes] | None:
        try:
            parsed = Note.parse(note)
            checkpoint = Checkpoint.parse(parsed.text)
            if not epoch_of(checkpoint.origin, self._own.base):
                return None
            parsed.verify(self._own.note_keys(checkpoint.origin))
        except CredenceError as error:
            log.warning("log.head_ignored", code=error.code)
            return None
        return checkpoint, note

    def _contradicted(
        self, shown: Sequence[tuple[Checkpoint, bytes]]
    ) -> tuple[str, Checkpoint, bytes] | None:
        """The gravest of the shown heads that this log is not the continuation of."""
        base = self._own.base
        current = epoch_of(self.origin, base)
        relevant = [one for one in shown if epoch_of(one[0].origin, base) >= current]
        relevant.sort(key=lambda one: (epoch_of(one[0].origin, base), one[0].size), reverse=True)
        with self._own.database.read() as connection:
            for checkpoint, note in relevant:
                if epoch_of(checkpoint.origin, base) > current:
                    return AHEAD, checkpoint, note
                cause = self._compare(connection, checkpoint)
                if cause:
                    return cause, checkpoint, note
        return None

    def _compare(self, connection: Connection, then: Checkpoint) -> str:
        now = self._own.audit.head(connection)
        if then.size > now.size:
            return AHEAD
        if then.size == 0:
            return ""
        try:
            proof: list[bytes] = []
            if then.size != now.size:
                proof = self._own.audit.consistency_proof(then.size, now.size, connection)
            verify_consistency(then.size, now.size, then.root, now.root, proof)
        except ProofInvalid:
            return DIVERGED
        return ""

    def _quarantine(self, cause: str, lost: Checkpoint, note: bytes, organisation: str) -> None:
        own = self._own
        at_ms = self._now_ms()
        number = max(epoch_of(lost.origin, own.base), epoch_of(self.origin, own.base)) + 1
        origin = origin_of(own.base, number)
        named = f"{lost.size}:{base64.b64encode(lost.root).decode()}"
        payload = {
            "origin": origin,
            "cause": cause,
            "shown_by": organisation,
            "last": note.decode(),
        }
        entry = Entry(
            kind=CONTINUED_KIND,
            actor=own.actor,
            purpose="audit",
            correlation=named,
            payload=payload,
            subject=None,
            at_ms=at_ms,
        )
        with own.database.write() as connection:
            size = own.audit.append(connection, entry).seq  # after what others had submitted
            opened = Epoch(number, origin, size, note, cause, at_ms, None, "")
            store.open_epoch(connection, opened)
            open_incident(
                connection, own.audit, kind=QUARANTINE, about=own.base, actor=own.actor,
                at_ms=at_ms, text=f"{cause}: {size} leaves here, {lost.size} in the lost head",
            )  # fmt: skip
        own.audit.origin = origin
        log.error(
            "log.quarantined",
            cause=cause,
            lost_size=lost.size,
            own_size=size,
            origin=origin,
            shown_by=organisation,
        )

    # -- heads

    def sign(self) -> SignedHead | None:
        """Sign the committed head and keep it.

        Returns:
            None: too few witnesses have been heard yet, or the epoch is not confirmed.
        """
        with self._lock:
            if not self.heard:
                return None
            own = self._own
            with own.database.write() as connection:
                current = store.epoch(connection)
                if current is None or current.confirmed_at_ms is None:
                    return None
                head = own.audit.head(connection)
                checkpoint = Checkpoint(self.origin, head.size, head.root)
                held = store.newest_signed(connection, self.origin)
                if held is not None and held.checkpoint.size > head.size:
                    raise StateConflict("the log is shorter than a head that it signed")
                note = sign_checkpoint(checkpoint, own.signing())
                if held is None or held.note != note:
                    store.add_signed(connection, checkpoint, note, self._now_ms())
                    held = SignedHead(checkpoint, note, self._now_ms(), None, None)
            return held

    def newest(self) -> SignedHead | None:
        """The newest head that was signed under the origin in force."""
        with self._own.database.read() as connection:
            return store.newest_signed(connection, self.origin)

    def request(self, head: SignedHead, old: int) -> bytes:
        """The `add-checkpoint` body for a witness that has `old` leaves.

        Raises:
            InvalidInput: not 0 <= old <= the head's size.
        """
        proof: list[bytes] = []
        if 0 < old < head.checkpoint.size:
            proof = self._own.audit.consistency_proof(old, head.checkpoint.size)
        return encode_request(old, proof, head.note)

    def sizes(self) -> dict[str, int]:
        """How far each witness has cosigned this epoch, by key name."""
        with self._own.database.read() as connection:
            return store.sizes_by_witness(connection, self.origin)

    def take(self, head: SignedHead, lines: bytes, keys: Sequence[CosignatureKey]) -> bool:
        """Keep a witness's cosignatures under a head; whether it is witnessed now.

        Lines by other keys are ignored.

        Raises:
            Malformed: they are no signature lines.
            SignatureInvalid: one by a given key does not verify.
        """
        note = Note.parse(head.note + lines)
        known = {(key.name, key.key_id): key for key in keys}
        found = []
        for line in note.signatures:
            key = known.get((line.name, line.key_id))
            if key is not None:
                cosignature_of(note, line, key)
                found.append((key.name, line.encode()))
        if not found:
            return False
        policy = self.policy()
        with self._lock, self._own.database.write() as connection:
            at_ms = self._now_ms()
            for name, line_text in found:
                store.add_cosignature(connection, head.checkpoint, name, line_text, at_ms)
            kept = store.cosignature_lines(connection, head.checkpoint)
            whole = head.note + "".join(kept).encode()
            if not policy.check(whole).met:
                return False
            store.mark_witnessed(connection, head.checkpoint, whole, at_ms)
            store.prune(connection, head.checkpoint, at_ms)
        return True

    # -- after a quarantine

    def confirm(self, reason: str) -> Epoch:
        """Note in the log that an operator knows why it goes on in a new epoch.

        Raises:
            NothingToConfirm: it is not in quarantine.
        """
        own = self._own
        with self._lock, own.database.write() as connection:
            at_ms = self._now_ms()
            current = store.epoch(connection)
            if current is None or not store.confirm_epoch(
                connection, current.epoch, reason[:MAX_REASON], at_ms
            ):
                raise NothingToConfirm("the log is not in quarantine")
            entry = Entry(
                kind=CONFIRMED_KIND,
                actor=own.actor,
                purpose="audit",
                correlation=current.origin,
                payload={"epoch": current.epoch, "reason": reason[:MAX_REASON]},
                subject=None,
                at_ms=at_ms,
            )
            own.audit.append(connection, entry)
            close_standing(
                connection, own.audit, kind=QUARANTINE, about=own.base, actor="operator",
                at_ms=at_ms, outcome=current.origin,
            )  # fmt: skip
        return current
