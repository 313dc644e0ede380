"""Asking a person for a consent, and what becomes of the question.

An institution writes down the terms it asks for, signed by it alone; they stand as a consent in
state `requested` and nothing can be released on them. The person sees them waiting and grants them
(or other terms, in the same consent), refuses, or lets them lapse. Nobody else is told of it.
"""

from collections.abc import Callable, Sequence

from audit.database import Connection, Database
from consent.artefact import Artefact
from consent.authority import REQUESTED, controller
from consent.lifecycle import Event, State
from consent.refusals import ConsentUnknown
from consent.signatures import sign_alone
from consent.templates import DAY_MS, Templates
from node.consents.offers import Offer
from node.consents.register import CLOCK, SUBJECT, ConsentRegister, Verified
from node.storage import consent_requests, consents, subjects
from node.storage.consent_requests import StoredRequest
from node.storage.subjects import UnknownSubject
from protocols.errors import InvalidInput
from protocols.keys import SigningKey

MAX_MESSAGE = 500
MAX_DAYS = 90
MAX_WAITING = 10  # of one person: nobody is to be worn down with questions
BATCH = 500


class TooManyRequests(InvalidInput):
    """A person has more questions waiting than they can be expected to answer."""

    code = "too_many_consent_requests"
    next_step = "Wait until the person has answered, or until the older requests lapse."


class ConsentRequests:
    """Requests of this node to its customers; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        register: ConsentRegister,
        signing_key: Callable[[], SigningKey],
        templates: Templates,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._register = register
        self._key = signing_key
        self._templates = templates
        self._clock = clock

    def ask(
        self, pseudonym: bytes, offer: Offer, *, requested_by: str, message: str, days: int
    ) -> StoredRequest:
        """Ask a person for a consent.

        Args:
            pseudonym: the person, 32 bytes.
            offer: the terms.
            requested_by: who at the institution asks: a role or a staff reference.
            message: why, in words for the person; may be empty.
            days: how long an answer is waited for.

        Raises:
            TemplateUnknown, ConsentOutOfBounds: the terms are not within their template.
            UnknownSubject: the person is not known here.
            TooManyRequests: enough questions wait for the person.
            InvalidInput: the message or the days are out of bounds.
            Malformed: `requested_by` is not a word.
        """
        if not 1 <= days <= MAX_DAYS:
            raise InvalidInput(f"an answer is waited for 1 to {MAX_DAYS} days")
        if len(message) > MAX_MESSAGE or not (message.isprintable() or not message):
            raise InvalidInput(f"a message is up to {MAX_MESSAGE} printable characters")
        now_ms = self._clock()
        artefact = offer.artefact(pseudonym, controller(REQUESTED, requested_by))
        self._templates.check(Artefact.parse_request(artefact.body()))
        jws = sign_alone(artefact.body(), self._key())
        stored = StoredRequest(
            artefact.consent_id, requested_by, message, now_ms, now_ms + days * DAY_MS
        )
        with self._database.write() as connection:
            if not subjects.known_among(connection, {pseudonym}):
                raise UnknownSubject("the person is not known at this node")
            if len(consent_requests.waiting(connection, pseudonym, MAX_WAITING)) >= MAX_WAITING:
                raise TooManyRequests(f"{MAX_WAITING} requests wait for the person's answer")
            asked = Verified(artefact, jws, pseudonym)
            self._register.request(connection, asked, requested_by, now_ms)
            consent_requests.add(connection, stored)
        return stored

    def refuse(self, pseudonym: bytes, consent_id: str) -> State:
        """The person says no; refusing twice is no error.

        Raises:
            ConsentUnknown: nobody asked this person for it.
            TransitionInvalid: it has been answered otherwise, or lapsed.
        """
        with self._database.write() as connection:
            stored = consents.find(connection, consent_id)
            if stored is None or stored.terms.pseudonym != pseudonym:
                raise ConsentUnknown("no consent of this person by that id")
            return self._register.close_request(
                connection, stored, Event.REFUSE, SUBJECT, self._clock()
            )

    def lapse_due(self) -> int:
        """Close requests that nobody answered in time; how many."""
        total = 0
        while True:
            now_ms = self._clock()
            with self._database.write() as connection:
                overdue = consent_requests.overdue(connection, now_ms, BATCH)
                for stored in overdue:
                    self._register.close_request(connection, stored, Event.LAPSE, CLOCK, now_ms)
            total += len(overdue)
            if len(overdue) < BATCH:
                return total

    def waiting(self, pseudonym: bytes | None = None, limit: int = 50) -> Sequence[StoredRequest]:
        """Requests without an answer, the oldest first; of one person or of all."""
        with self._database.read() as connection:
            return consent_requests.waiting(connection, pseudonym, limit)

    def find(self, consent_id: str) -> StoredRequest | None:
        """The request that a consent began with, or None."""
        with self._database.read() as connection:
            return consent_requests.find(connection, consent_id)


def still_waiting(connection: Connection, consent_id: str, now_ms: int) -> bool:
    """Whether a requested consent may still be granted; by the clock, not by the last sweep."""
    found = consent_requests.find(connection, consent_id)
    return found is not None and now_ms < found.lapses_at_ms
