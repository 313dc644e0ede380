"""Taking in another controller's status list: verify, compare, keep what it proves.

A list is taken when

  1. its head passes `consent.status_list.verify_head` for the member that was asked;
  2. its bits, or those held already, are the ones that the head names, and no more of them;
  3. it is not older than the newest one seen of that controller, and does not contradict it.

It proves what it says from the moment the question was sent, for the shorter of its own life and
this node's, less a margin (docs/consent.md derives the minute). In the same transaction each
consent in force here that it does not call valid is put in doubt: nothing is released on it, and
`accept` names it, so that the signed event behind it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from audit.database import Connection, Database
from consent.lifecycle import State
from consent.status_list import (
    LIFE_MS,
    Listed,
    StatusHead,
    changed,
    check_follows,
    decompress,
    listed,
    restore,
    verify_head,
)
from node.consents.elapsed import Instant
from node.storage import statuses
from node.storage.statuses import NO_INDEX, Doubt, Entry, Proof
from protocols.directory import Directory
from protocols.errors import Malformed

MARGIN = 60  # a sixtieth of the life: a second of a minute

log = structlog.get_logger("node.consents.status")


@dataclass(frozen=True, slots=True)
class Question:
    """A question for a list, as it was just before it was sent.

    Attributes:
        controller: who is asked.
        nonce: 16 random bytes.
        have_sha256: of the bits held here; empty: none.
        wall_ms: by the wall clock, UTC milliseconds.
        at: by the time since the machine's start.
    """

    controller: str
    nonce: bytes
    have_sha256: bytes
    wall_ms: int
    at: Instant


class StatusInbox:
    """Takes in lists; thread-safe."""

    def __init__(
        self,
        database: Database,
        directory: Callable[[], Directory],
        life_ms: int = LIFE_MS,
    ) -> None:
        """Keep lists in `database`.

        Args:
            database: the node's.
            directory: gives the member directory in force.
            life_ms: how long this node relies on a list at most.
        """
        self._database = database
        self._directory = directory
        self._life_ms = life_ms

    def accept(self, question: Question, head_jws: bytes, compressed: bytes) -> list[bytes]:
        """Take in the answer to a question.

        Returns:
            Hashes of versions whose controller says something else of them than is held here.

        Raises:
            UnknownMember, MemberNotActive, Malformed, SignatureInvalid, StatusListOutdated: 1, 2.
            StatusListRollback, StatusListConflict: 3.
        """
        controller = question.controller
        keys = self._directory().active_member(controller).verify_keys(question.wall_ms)
        head = verify_head(head_jws, controller, keys, question.nonce, question.wall_ms)  # 1
        bits = decompress(compressed, head) if compressed else None  # 2
        with self._database.write() as connection:
            seen = statuses.proofs(connection, [controller]).get(controller)
            if bits is None and (seen is None or seen.bits_sha256 != head.bits_sha256):  # 2
                raise Malformed("a status list came without its bits")
            check_follows(head, (seen.version, seen.entries, seen.bits_sha256) if seen else None)
            return self._keep(connection, question, head, head_jws, (bits, compressed), seen)

    def _keep(
        self,
        connection: Connection,
        question: Question,
        head: StatusHead,
        head_jws: bytes,
        new: tuple[bytes | None, bytes],
        seen: Proof | None,
    ) -> list[bytes]:
        controller, (bits, compressed) = question.controller, new
        doubts: list[Doubt] = []
        settled = bits is None and seen is not None and seen.doubts == 0
        if not settled:
            doubts = self._doubts(connection, head, bits)
        life_ms = min(head.life_ms, self._life_ms)
        life_ms -= life_ms // MARGIN
        proof = Proof(
            controller=controller,
            until_ms=question.wall_ms + life_ms,
            until_elapsed_ms=question.at.ms + life_ms,
            boot_id=question.at.boot_id,
            doubts=len(doubts),
            version=head.version,
            entries=head.entries,
            bits_sha256=head.bits_sha256,
        )
        statuses.keep(connection, proof, head_jws, compressed or None)
        if settled:
            return []
        statuses.set_doubts(connection, controller, doubts)
        told = [one.consent_hash for one in doubts if one.listed is not None]
        if told:
            log.info("status.differs", controller=controller, consents=len(told))
        return told

    def _doubts(self, connection: Connection, head: StatusHead, bits: bytes | None) -> list[Doubt]:
        controller = head.controller
        held = statuses.bits_of(connection, controller)
        old = b"" if held is None else restore(held)
        new = old if bits is None else bits
        before = statuses.doubts(connection, controller)
        places = {*changed(old, new), *(one.status_index for one in before)} - {NO_INDEX}
        found = [one for one in before if one.status_index == NO_INDEX]
        for entry in statuses.entries_at(connection, controller, places):
            says = listed(new, head.entries, entry.status_index)
            if _differs(entry, says):
                found.append(Doubt(entry.consent_hash, entry.status_index, says))
        return found


def _differs(entry: Entry, says: Listed | None) -> bool:
    if entry.state is State.ACTIVE:
        return says is not Listed.VALID
    # Paused: its state refuses already; another word of the list is only worth asking about.
    return entry.state is State.PAUSED and says in {Listed.VALID, Listed.ENDED}
