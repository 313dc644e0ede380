"""The one place where a consent changes: row, event, audit leaf and consequences, together.

Consent node, holder and recipient all write through here, inside a transaction of the caller's:

  1. a new state comes from the lifecycle's table, or the transaction fails;
  2. every change has an audit leaf in the same transaction, and an event that names it;
  3. when a consent is withdrawn, invalidated or replaced, what was fetched under it is deleted (and
     unless it is replaced, the scores made under it), so are the sealed answers kept for a repeated
     request, and nothing that would still give effect to it is delivered any more;
  4. the consent node promises every event to all other parties in the same transaction;
  5. and so does its status list say it, in which every version has an index of its own; another
     member's consent is in doubt here until that member's list speaks of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from audit.database import Connection
from audit.leaf import Entry
from audit.store import AuditLog
from consent.artefact import Artefact
from consent.deletion import Deletion
from consent.events import DECLARED, ConsentEvent
from consent.lifecycle import BEGINNINGS, ENDED, Event, State, advance
from consent.status_list import Listed
from node.storage import (
    consent_events,
    consent_outbox,
    consents,
    deletions,
    monitors,
    score_inputs,
    signals,
    statuses,
)
from node.storage.consent_events import NewEvent
from node.storage.consents import NewConsent, StoredConsent

SUBJECT = "subject"
CLOCK = "clock"
AUDIT_PURPOSE = "consent"

# Ends after which nothing may be kept: the person took it back, or it never held.
_DELETES = frozenset({State.WITHDRAWN, State.INVALIDATED, State.SUPERSEDED})

_LISTED = {
    State.ACTIVE: Listed.VALID,
    State.PAUSED: Listed.PAUSED,
    State.WITHDRAWN: Listed.ENDED,
    State.SUPERSEDED: Listed.ENDED,
    State.INVALIDATED: Listed.ENDED,
}


@dataclass(frozen=True, slots=True)
class Verified:
    """An artefact whose signatures and bounds were checked, and whose subject is known here.

    Attributes:
        artefact: the terms.
        jws: general JWS JSON with both signatures.
        pseudonym: the person, 32 bytes.
        replaces: the version in force that it replaces; None: the consent is new here.
        status_index: of another controller's, where its status list speaks of this version.
    """

    artefact: Artefact
    jws: bytes
    pseudonym: bytes
    replaces: StoredConsent | None = None
    status_index: int | None = None


class ConsentRegister:
    """Writes changes of consents; stateless, so any thread may use it."""

    def __init__(self, audit: AuditLog, member_id: str) -> None:
        """Write to `audit` as member `member_id`."""
        self._audit = audit
        self._member_id = member_id

    def enter(self, connection: Connection, verified: Sequence[Verified], now_ms: int) -> None:
        """Put artefacts in force, each consent at most once in a call.

        Raises:
            TransitionInvalid: a version in force cannot be replaced any more.
        """
        leaves = self._audit.append_many(
            connection, [self._granted(one, now_ms) for one in verified]
        )
        new: list[NewConsent] = []
        for one, leaf in zip(verified, leaves, strict=True):
            entered = NewConsent(one.artefact, one.jws, one.pseudonym, leaf.seq)
            if one.replaces is None:
                new.append(entered)
            elif one.replaces.terms.state is State.REQUESTED:
                advance(State.REQUESTED, Event.GRANT)  # 1
                consents.put_in_place(connection, entered)
            else:
                self._supersede(connection, one.replaces, entered, now_ms)
        consents.add_many(connection, new)
        self._index(connection, verified, [leaf.seq for leaf in leaves])  # 5
        event_ids = consent_events.add_events(
            connection,
            [
                NewEvent(one.artefact.consent_id, Event.GRANT, SUBJECT, now_ms, leaf.seq)
                for one, leaf in zip(verified, leaves, strict=True)
            ],
        )
        promised = [
            (event_id, one.artefact.consent_id, one.artefact.parties)
            for event_id, one in zip(event_ids, verified, strict=True)
            if one.artefact.controller == self._member_id
        ]
        consent_outbox.enqueue(connection, Event.GRANT, promised, now_ms)

    def change(
        self,
        connection: Connection,
        stored: StoredConsent,
        event: ConsentEvent,
        evidence: bytes,
        now_ms: int,
    ) -> State:
        """Apply a verified event of the subject; the state after it.

        An event that changes nothing (a second withdrawal) leaves no trace.

        Raises:
            TransitionInvalid: the consent's state does not know the event.
        """
        terms = stored.terms
        after = advance(terms.state, event.event)  # 1
        if after is terms.state:
            return after
        deleted = self._forget(connection, stored, after, now_ms)  # 3
        actor = self._actor(event)
        entry = self._changed(stored, event.event, after, actor, deleted, now_ms)
        entry = replace(entry, payload={**entry.payload, "by": event.authority.method})
        leaf = self._audit.append(connection, entry)  # 2
        consents.set_state(connection, [terms.consent_id], after, [leaf.seq])
        self._list(connection, stored, after, leaf.seq)  # 5
        consents.note_event_time(connection, terms.consent_id, event.at_ms)
        happened = NewEvent(terms.consent_id, event.event, actor, now_ms, leaf.seq, evidence)
        (event_id,) = consent_events.add_events(connection, [happened])
        if terms.controller == self._member_id:  # 4
            parties = sorted((terms.holders | terms.recipients) - {terms.controller})
            consent_outbox.enqueue(
                connection, event.event, [(event_id, terms.consent_id, parties)], now_ms
            )
        return after

    def request(
        self, connection: Connection, asked: Verified, requested_by: str, now_ms: int
    ) -> None:
        """Write down terms that an institution asks a person for."""
        artefact = asked.artefact
        entry = replace(self._granted(asked, now_ms), kind="consent.requested", actor=requested_by)
        leaf = self._audit.append(connection, entry)
        new = NewConsent(artefact, asked.jws, asked.pseudonym, leaf.seq)
        consents.add_many(connection, [new], BEGINNINGS[Event.REQUEST])
        happened = NewEvent(
            artefact.consent_id, Event.REQUEST, requested_by, now_ms, leaf.seq, asked.jws
        )
        consent_events.add_events(connection, [happened])

    def close_request(
        self, connection: Connection, stored: StoredConsent, event: Event, actor: str, now_ms: int
    ) -> State:
        """A person refuses what was asked for, or time passes over it; nobody else is told.

        Raises:
            TransitionInvalid: it is not waiting for an answer.
        """
        terms = stored.terms
        after = advance(terms.state, event)  # 1
        if after is terms.state:
            return after
        leaf = self._audit.append(  # 2
            connection, self._changed(stored, event, after, actor, None, now_ms)
        )
        consents.set_state(connection, [terms.consent_id], after, [leaf.seq])
        happened = NewEvent(terms.consent_id, event, actor, now_ms, leaf.seq)
        consent_events.add_events(connection, [happened])
        return after

    def expire(self, connection: Connection, overdue: Sequence[StoredConsent], now_ms: int) -> None:
        """Record that time ended these consents; every party's own clock does the same.

        What was fetched stays until its data life ends, as the person agreed.
        """
        if not overdue:
            return
        after = State.EXPIRED
        for stored in overdue:
            advance(stored.terms.state, Event.EXPIRE)  # 1
        leaves = self._audit.append_many(  # 2
            connection,
            [self._changed(one, Event.EXPIRE, after, CLOCK, None, now_ms) for one in overdue],
        )
        ids = [stored.terms.consent_id for stored in overdue]
        consents.set_state(connection, ids, after, [leaf.seq for leaf in leaves])
        consent_events.add_events(
            connection,
            [
                NewEvent(consent_id, Event.EXPIRE, CLOCK, now_ms, leaf.seq)
                for consent_id, leaf in zip(ids, leaves, strict=True)
            ],
        )
        for stored, leaf in zip(overdue, leaves, strict=True):
            consent_outbox.cancel(connection, stored.terms.consent_id)
            self._list(connection, stored, after, leaf.seq)  # 5

    def _supersede(
        self, connection: Connection, old: StoredConsent, new: NewConsent, now_ms: int
    ) -> None:
        consent_id = old.terms.consent_id
        after = advance(old.terms.state, Event.SUPERSEDE)  # 1
        self._forget(connection, old, after, now_ms)  # 3
        consents.supersede(connection, old, new, now_ms)
        self._list(connection, old, after, new.leaf_seq)  # 5
        event = NewEvent(consent_id, Event.SUPERSEDE, SUBJECT, now_ms, new.leaf_seq)
        consent_events.add_events(connection, [event])

    def _index(
        self, connection: Connection, verified: Sequence[Verified], leaves: Sequence[int]
    ) -> None:
        own: list[tuple[bytes, int]] = []
        others: dict[str, list[tuple[bytes, int | None, int]]] = {}
        for one, leaf in zip(verified, leaves, strict=True):
            artefact = one.artefact
            if artefact.controller == self._member_id:
                own.append((artefact.consent_hash, leaf))
            else:
                new = (artefact.consent_hash, one.status_index, leaf)
                others.setdefault(artefact.controller, []).append(new)
        statuses.allot(connection, self._member_id, own)
        for controller, received in others.items():
            statuses.admit(connection, controller, received)

    def _list(
        self, connection: Connection, stored: StoredConsent, after: State, leaf_seq: int
    ) -> None:
        consent_hash, controller = stored.terms.consent_hash, stored.terms.controller
        if controller == self._member_id:
            # Time ends a consent everywhere alike: the list need not say so.
            if after is not State.EXPIRED:
                statuses.mark(connection, consent_hash, _LISTED[after], leaf_seq)
        elif after in ENDED:
            statuses.forget(connection, controller, [consent_hash])
        elif after is State.PAUSED:
            statuses.paused(connection, controller, consent_hash)
        else:
            statuses.resumed(connection, controller, consent_hash)

    def _forget(
        self, connection: Connection, stored: StoredConsent, after: State, now_ms: int
    ) -> Deletion | None:
        if after not in _DELETES:
            return None
        consent_id = stored.terms.consent_id
        consent_outbox.cancel(connection, consent_id)
        score_inputs.delete_by_consent(connection, consent_id)
        monitors.forget_by_consent(connection, consent_id)
        replaced = after is State.SUPERSEDED  # it goes on under other terms
        deleted = Deletion(
            member_id=self._member_id,
            consent_id=consent_id,
            consent_hash=stored.terms.consent_hash,
            signals=signals.delete_by_consent(connection, consent_id),
            scores=0 if replaced else deletions.delete_scores(connection, consent_id),
            answers=self._drop_answers(connection, consent_id, now_ms),
            at_ms=now_ms,
        )
        if not replaced:
            deletions.add(connection, deleted)
        return deleted

    def _drop_answers(self, connection: Connection, consent_id: str, now_ms: int) -> int:
        dropped = 0
        for peer, leaf_seq in deletions.recent_releases(connection, consent_id, now_ms):
            payload = self._audit.payload(leaf_seq, connection)
            request_hash = bytes.fromhex(payload["request_hash"])
            dropped += deletions.drop_answer(connection, peer, request_hash)
        return dropped

    def _actor(self, event: ConsentEvent) -> str:
        if event.event not in DECLARED:
            return SUBJECT
        own = event.controller == self._member_id
        return event.authority.actor if own else event.controller

    def _granted(self, verified: Verified, now_ms: int) -> Entry:
        artefact = verified.artefact
        own = artefact.controller == self._member_id
        return Entry(
            kind="consent.granted" if own else "consent.received",
            actor=SUBJECT if own else artefact.controller,
            purpose=AUDIT_PURPOSE,
            correlation=artefact.consent_id,
            payload={
                "consent_hash": artefact.consent_hash.hex(),
                "version": artefact.version,
                "controller": artefact.controller,
                "purposes": list(artefact.purposes),
                "recipients": list(artefact.recipient_ids),
                "holders": list(artefact.holders),
                "by": artefact.auth_method,
            },
            subject=verified.pseudonym,
            at_ms=now_ms,
        )

    def _changed(
        self,
        stored: StoredConsent,
        event: Event,
        after: State,
        actor: str,
        deleted: Deletion | None,
        now_ms: int,
    ) -> Entry:
        terms = stored.terms
        return Entry(
            kind=f"consent.{after.value}",
            actor=actor,
            purpose=AUDIT_PURPOSE,
            correlation=terms.consent_id,
            payload={
                "consent_hash": terms.consent_hash.hex(),
                "controller": terms.controller,
                "event": event.value,
                "vectors_deleted": deleted.signals if deleted else 0,
                "scores_deleted": deleted.scores if deleted else 0,
                "answers_deleted": deleted.answers if deleted else 0,
            },
            subject=terms.pseudonym,
            at_ms=now_ms,
        )
