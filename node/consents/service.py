"""The consents of a node: as consent node for its customers, as holder and recipient for others.

Whether a release or a score is allowed is not asked here: who decides that reads the terms inside
its own transaction (`node.storage.consents`) and lets `consent.policy.decide` judge.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from audit.database import Connection, Database
from audit.store import AuditLog
from consent.artefact import Artefact
from consent.authority import Authority, controller
from consent.delivery import Acknowledgement, Delivery
from consent.events import ConsentEvent
from consent.lifecycle import Event, State
from consent.receipts import Happening, receipt
from consent.refusals import ConsentUnknown
from consent.templates import Templates
from node.consents.delivery import ConsentDeliverer, Courier, PushReport
from node.consents.desk import ConfirmedGrant, ConsentDesk, Recorded, SignedGrant
from node.consents.handles import HandleIndex
from node.consents.inbox import ConsentInbox
from node.consents.offers import ConsentOffers, Offer, OfferTerms
from node.consents.register import ConsentRegister
from node.consents.requests import ConsentRequests
from node.consents.stored import artefact_of
from node.network.pairwise import PairKeys
from node.storage import consent_events, consent_outbox, consents, subjects
from node.storage.consent_requests import StoredRequest
from node.storage.consents import LiveConsent, StoredConsent
from protocols.directory import Directory
from protocols.keys import SigningKey

__all__ = ["Changed", "ConsentService", "OfferTerms", "Recorded", "SignedGrant", "artefact_of"]

# Consents a transaction: the write lock is held for a fraction of a second.
GRANT_BATCH = 500
EXPIRE_BATCH = 500


@dataclass(frozen=True, slots=True)
class Changed:
    """Where a consent stands, and what its parties answered to the newest event.

    Attributes:
        consent_id: the consent.
        state: its state now.
        effective_at_ms: since when it is so at this node.
        confirmed: party -> since when it is so there, milliseconds.
        refused: party -> the code of its refusal.
        pending: parties that have not answered; they are told as soon as they can be reached.
    """

    consent_id: str
    state: State
    effective_at_ms: int
    confirmed: Mapping[str, int]
    refused: Mapping[str, str]
    pending: Sequence[str]


class ConsentService:
    """All that a node does with consents; thread-safe."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        *,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        directory: Callable[[], Directory],
        pair_keys: PairKeys,
        courier: Courier,
        templates: Templates,
        clock: Callable[[], int],
    ) -> None:
        """Wire the parts.

        Args:
            database: the node's.
            audit: its log, in the same database.
            member_id: this node.
            signing_key: countersigns consents and signs acknowledgements.
            directory: gives the member directory in force.
            pair_keys: keys shared with other members.
            courier: carries deliveries to other members.
            templates: bounds and notices.
            clock: UTC milliseconds now.
        """
        self._database = database
        self._member_id = member_id
        self._directory = directory
        self._clock = clock
        self._register = ConsentRegister(audit, member_id)
        self._templates = templates
        self.requests = ConsentRequests(
            database=database,
            register=self._register,
            signing_key=signing_key,
            templates=templates,
            clock=clock,
        )
        self._offers = ConsentOffers(member_id, directory, templates, pair_keys)
        self._desk = ConsentDesk(
            database=database,
            register=self._register,
            member_id=member_id,
            signing_key=signing_key,
            directory=directory,
            pair_keys=pair_keys,
            templates=templates,
            clock=clock,
        )
        self._inbox = ConsentInbox(
            database=database,
            register=self._register,
            member_id=member_id,
            signing_key=signing_key,
            directory=directory,
            handles=HandleIndex(pair_keys),
            templates=templates,
            clock=clock,
        )
        self._deliverer = ConsentDeliverer(
            database=database, directory=directory, courier=courier, clock=clock
        )

    # -- as consent node

    def offer(self, terms: OfferTerms) -> Offer:
        """Terms for people to sign; see `ConsentOffers.offer`."""
        return self._offers.offer(terms, self._clock())

    def ask(
        self, pseudonym: bytes, terms: OfferTerms, *, requested_by: str, message: str, days: int
    ) -> StoredRequest:
        """Ask a person for a consent; see `ConsentRequests.ask`."""
        offer = self.offer(terms)
        return self.requests.ask(
            pseudonym, offer, requested_by=requested_by, message=message, days=days
        )

    def check_terms(self, artefact: Artefact) -> None:
        """Check an artefact against its template before anybody is asked to sign it.

        Raises:
            TemplateUnknown, ConsentOutOfBounds: it does not hold.
        """
        self._templates.check(artefact)

    def record_many(self, grants: Iterable[SignedGrant | ConfirmedGrant]) -> list[Recorded]:
        """Verify, countersign, store and log consents; each 500 of them in one transaction.

        Deliveries are promised in the same transactions and made by `push_pending`.

        Raises:
            CredenceError: as `ConsentDesk.record`, for the first batch that does not hold; those
                before it are in force.
        """
        recorded: list[Recorded] = []
        for batch in _batches(grants, GRANT_BATCH):
            recorded.extend(self._desk.record(batch))
        return recorded

    def withdraw(self, consent_id: str, signed: bytes) -> Changed:
        """Withdraw; in effect here before anybody is told, and told at once.

        Args:
            consent_id: the consent.
            signed: a withdrawal signed by its subject (`consent.events.sign_event`).

        Raises:
            CredenceError: as `ConsentDesk.apply`; then nothing has changed.
        """
        self._desk.apply(consent_id, signed, only=Event.WITHDRAW)
        return self.tell(consent_id)

    def apply(self, consent_id: str, signed: bytes) -> Changed:
        """Apply a signed event (withdraw, pause, resume) and tell the parties.

        Raises:
            CredenceError: as `ConsentDesk.apply`; then nothing has changed.
        """
        self._desk.apply(consent_id, signed)
        return self.tell(consent_id)

    def say(self, event: ConsentEvent) -> Changed:
        """Apply what this node signs alone (`ConsentDesk.say`) and tell the parties.

        Raises:
            CredenceError: as `ConsentDesk.say`; then nothing has changed.
        """
        self._desk.say(event)
        return self.tell(event.consent_id)

    def invalidate(self, consent_id: str, reason: str, actor: str) -> Changed:
        """Declare that a consent never held or does not any more, and tell the parties.

        Args:
            consent_id: the consent.
            reason: one of `consent.authority.REASONS`.
            actor: who decided: a role or a staff reference.

        Raises:
            Malformed: a reason or an actor out of its grammar.
            ConsentUnknown, ControllerMismatch, TransitionInvalid: as `ConsentDesk.apply`.
        """
        said = self.event(consent_id, Event.INVALIDATE, controller(reason, actor))
        return self.say(ConsentEvent.parse(said.body()))

    def tell(self, consent_id: str) -> Changed:
        """Deliver now what is promised about one consent, and see what its parties answered.

        Raises:
            ConsentUnknown: there is none by that id.
        """
        terms = self.get(consent_id).terms
        parties = sorted((terms.holders | terms.recipients) - {self._member_id})
        self._deliverer.push_consent(consent_id, parties)
        with self._database.read() as connection:
            state = _known(consents.find(connection, consent_id)).terms.state
            newest = consent_events.events_of(connection, consent_id)[-1]
            confirmed = consent_outbox.confirmations(connection, consent_id)
        answers, pending = confirmed.get(newest.event_id, ([], []))
        return Changed(
            consent_id=consent_id,
            state=state,
            effective_at_ms=newest.at_ms,
            confirmed={one.member_id: one.effective_at_ms for one in answers if not one.refusal},
            refused={one.member_id: one.refusal for one in answers if one.refusal},
            pending=pending,
        )

    def push_pending(self) -> PushReport:
        """Deliver what is still promised to holders and recipients; call every second or so."""
        return self._deliverer.push_pending()

    def expire_due(self) -> int:
        """Record that time ended consents, and requests for one; how many."""
        total = self.requests.lapse_due()
        while True:
            now_ms = self._clock()
            with self._database.write() as connection:
                overdue = consents.overdue(connection, now_ms, EXPIRE_BATCH)
                self._register.expire(connection, overdue, now_ms)
            total += len(overdue)
            if len(overdue) < EXPIRE_BATCH:
                return total

    # -- as holder or recipient

    def receive(self, peer: str, deliveries: Sequence[Delivery]) -> list[Acknowledgement]:
        """Verify, store and acknowledge deliveries; see `node.consents.inbox`."""
        return self._inbox.receive(peer, deliveries)

    def live_consents(self, connection: Connection, purpose: str) -> list[LiveConsent]:
        """Consents in force now for `purpose` that name this node as a recipient, by pseudonym."""
        return consents.live(connection, purpose, self._member_id, self._clock())

    # -- to look at

    def get(self, consent_id: str) -> StoredConsent:
        """One consent.

        Raises:
            ConsentUnknown: there is none by that id.
        """
        with self._database.read() as connection:
            return _known(consents.find(connection, consent_id))

    def page(
        self, *, before_seq: int | None = None, limit: int = 50, states: Iterable[State] = ()
    ) -> list[StoredConsent]:
        """Consents, the newest change first; go on with the last one's `changed_seq`."""
        with self._database.read() as connection:
            return consents.page(connection, before_seq=before_seq, limit=limit, states=states)

    def of_subject(self, pseudonym: bytes) -> list[StoredConsent]:
        """All consents of one person, the newest change first."""
        with self._database.read() as connection:
            return consents.of_subject(connection, pseudonym)

    def counts(self) -> dict[State, int]:
        """How many consents are in each state."""
        with self._database.read() as connection:
            return consents.counts(connection)

    def waiting(self) -> dict[str, int]:
        """How many deliveries each member still waits for."""
        with self._database.read() as connection:
            return consent_outbox.waiting_counts(connection)

    def unanswered(self) -> dict[str, int]:
        """How many deliveries each member has not answered; one refused for now has been."""
        with self._database.read() as connection:
            return consent_outbox.unanswered_counts(connection)

    def receipt(self, consent_id: str) -> dict[str, Any]:
        """The receipt of a consent this node controls; see `consent.receipts`.

        Raises:
            ConsentUnknown: there is none by that id.
        """
        with self._database.read() as connection:
            stored = _known(consents.find(connection, consent_id))
            person = subjects.by_pseudonym(connection, stored.terms.pseudonym)
            happened = consent_events.events_of(connection, consent_id)
            confirmed = consent_outbox.confirmations(connection, consent_id)
        happenings = [
            Happening(
                event=one.event,
                actor=one.actor,
                at_ms=one.at_ms,
                leaf_seq=one.leaf_seq,
                confirmations=confirmed.get(one.event_id, ([], []))[0],
                pending=confirmed.get(one.event_id, ([], []))[1],
            )
            for one in happened
        ]
        return receipt(artefact_of(stored), stored.terms.state, person.subject_ref, happenings)

    def event(
        self, consent_id: str, event: Event, authority: Authority | None = None
    ) -> ConsentEvent:
        """What has to be signed to withdraw, pause or resume.

        Args:
            consent_id: the consent.
            event: what is said.
            authority: by what; None: that of the consent.

        Raises:
            ConsentUnknown: there is no consent by that id.
        """
        stored = self.get(consent_id)
        return ConsentEvent(
            event=event,
            consent_id=consent_id,
            consent_hash=stored.terms.consent_hash,
            controller=stored.terms.controller,
            authority=authority or artefact_of(stored).authority,
            at_ms=max(self._clock(), stored.event_at_ms + 1),
        )


def _known(stored: StoredConsent | None) -> StoredConsent:
    if stored is None:
        raise ConsentUnknown("this node keeps no consent of this id")
    return stored


def _batches(
    grants: Iterable[SignedGrant | ConfirmedGrant], size: int
) -> Iterator[list[SignedGrant | ConfirmedGrant]]:
    source = iter(grants)
    while batch := list(islice(source, size)):
        yield batch
