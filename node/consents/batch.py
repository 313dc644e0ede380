"""The part of receiving consents that stands inside the transaction.

Checks 8 to 10 of `node.consents.inbox`. Artefacts are stored many at a time; an event, or a second
version of one consent, first waits for those before it, so that the order of a batch counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audit.database import Connection
from consent.artefact import Artefact
from consent.deletion import Deletion
from consent.delivery import Delivery
from consent.events import ConsentEvent
from consent.lifecycle import Event, advance
from consent.policy import Refusal
from consent.refusals import refusal_error
from consent.succession import ConsentConflict, Held, check_event, check_version
from node.consents.handles import HandleIndex
from node.consents.register import ConsentRegister, Verified
from node.consents.stored import artefact_of
from node.storage import consent_events, consents, deletions, statuses
from node.storage.consent_events import Tombstone
from node.storage.consents import StoredConsent
from node.storage.subjects import UnknownSubject
from protocols.errors import CredenceError


@dataclass(frozen=True, slots=True)
class Offered:
    """One delivery after checks 1 to 7: an artefact, an event, or already refused."""

    delivery: Delivery
    artefact: Artefact | None = None
    event: ConsentEvent | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery: in effect since, or refused at, `effective_at_ms`.

    Where it ended a consent here, `deleted` says what went with it.
    """

    refusal: str
    effective_at_ms: int
    deleted: Deletion | None = None


class DeliveryBatch:
    """One batch of one peer in one write transaction."""

    def __init__(
        self,
        connection: Connection,
        register: ConsentRegister,
        handles: HandleIndex,
        member_id: str,
        peer: str,
        now_ms: int,
    ) -> None:
        self._connection = connection
        self._register = register
        self._handles = handles
        self._member_id = member_id
        self._peer = peer
        self._now_ms = now_ms
        self._outcomes: list[Outcome] = []
        self._tables: dict[int, Mapping[bytes, bytes]] = {}  # epoch -> handle -> pseudonym

    def settle(self, offered: Sequence[Offered]) -> list[Outcome]:
        """Decide and store; one outcome for each delivery, in order."""
        run: list[Offered] = []
        ids: set[str] = set()
        for one in offered:
            if one.event is not None or (one.artefact and one.artefact.consent_id in ids):
                self._store(run)
                run, ids = [], set()
            if one.event is not None:
                self._outcomes.append(self._apply(one.event, one.delivery))
                continue
            run.append(one)
            if one.artefact is not None:
                ids.add(one.artefact.consent_id)
        self._store(run)
        return self._outcomes

    def _store(self, run: Sequence[Offered]) -> None:
        ids = [one.artefact.consent_id for one in run if one.artefact is not None]
        held = consents.find_many(self._connection, ids)
        dead = consent_events.tombstones(self._connection, self._peer, ids)
        granted = consent_events.event_times(self._connection, held, Event.GRANT)
        indices = [one.delivery.status_index for one in run]
        taken = statuses.taken(
            self._connection, self._peer, [one for one in indices if one is not None]
        )
        entering: list[Verified] = []
        for one in run:
            refusal, at_ms = one.refusal, self._now_ms
            if one.artefact is not None:
                stored = held.get(one.artefact.consent_id)
                try:
                    entered = self._admit(one, one.artefact, stored, dead, taken)
                    if entered is None:
                        at_ms = granted.get(one.artefact.consent_id, at_ms)
                    else:
                        entering.append(entered)
                except CredenceError as error:
                    refusal = error.code
            self._outcomes.append(Outcome(refusal, at_ms))
        self._register.enter(self._connection, entering, self._now_ms)

    def _admit(
        self,
        offered: Offered,
        artefact: Artefact,
        stored: StoredConsent | None,
        dead: Mapping[str, int],
        taken: dict[int, bytes],
    ) -> Verified | None:
        # 8
        people = self._people(artefact.handle_epoch)
        pseudonym = people.get(artefact.handles[self._member_id])
        if pseudonym is None:
            raise UnknownSubject("the consent's subject is not known here")
        # 9
        if artefact.consent_id in dead:
            raise refusal_error(Refusal.CONSENT_WITHDRAWN)
        # 10
        index = offered.delivery.status_index
        if index is not None and taken.get(index, artefact.consent_hash) != artefact.consent_hash:
            raise ConsentConflict("another consent has this status index")
        if stored is None:
            taken |= {} if index is None else {index: artefact.consent_hash}
            return Verified(artefact, offered.delivery.data, pseudonym, status_index=index)
        if stored.terms.pseudonym != pseudonym:
            raise refusal_error(Refusal.SUBJECT_MISMATCH)
        if not check_version(artefact, held_of(stored)):
            return None
        taken |= {} if index is None else {index: artefact.consent_hash}
        return Verified(
            artefact, offered.delivery.data, pseudonym, replaces=stored, status_index=index
        )

    def _people(self, epoch: int) -> Mapping[bytes, bytes]:
        found = self._tables.get(epoch)
        if found is None:
            found = self._handles.people(self._connection, self._peer, epoch)
            self._tables[epoch] = found
        return found

    def _apply(self, event: ConsentEvent, delivery: Delivery) -> Outcome:
        stored = consents.find(self._connection, event.consent_id)
        if stored is None:
            return self._remember(event, delivery)
        try:
            check_event(event, held_of(stored), self._now_ms)
            advance(stored.terms.state, event.event)
        except CredenceError as error:
            return Outcome(error.code, self._now_ms)
        self._register.change(self._connection, stored, event, delivery.data, self._now_ms)
        times = consent_events.event_times(self._connection, [event.consent_id], event.event)
        deleted = deletions.find(self._connection, self._member_id, event.consent_id)
        return Outcome("", times.get(event.consent_id, self._now_ms), deleted)

    def _remember(self, event: ConsentEvent, delivery: Delivery) -> Outcome:
        if event.event not in {Event.WITHDRAW, Event.INVALIDATE}:
            return Outcome(Refusal.CONSENT_UNKNOWN, self._now_ms)
        tombstone = Tombstone(event.consent_id, self._peer, delivery.data, self._now_ms)
        return Outcome("", consent_events.add_tombstone(self._connection, tombstone))


def held_of(stored: StoredConsent) -> Held:
    """A stored consent as the rules of succession look at it."""
    return Held(
        consent_hash=stored.terms.consent_hash,
        version=stored.version,
        controller=stored.terms.controller,
        authority=artefact_of(stored).authority,
        state=stored.terms.state,
        event_at_ms=stored.event_at_ms,
    )
