"""Consents as a person handles them at the portal of their institution.

Granting takes two calls: `prepare` says exactly what would be signed, `grant` takes it with proof.
Nothing is kept between them: what was prepared is its own bytes, which name everything, and every
check of the consent desk (`node.consents.desk`) is made on them.

  1. a consent of somebody else is answered as one that does not exist;
  2. what was prepared holds for 15 minutes;
  3. a passkey's answer is evidence under this node's attestation of whose passkey it is, made again
     from what is known here and compared with the hash that the person signed;
  4. a session's confirmation grants by the authority of an account, and nothing that a key of the
     person granted is changed or resumed by it; to withdraw and to pause it is always enough.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from audit.database import Database
from consent import authority as authorities
from consent.artefact import Artefact
from consent.attestation import SubjectAttestation, hash_of_handles, sign_attestation
from consent.authority import PASSKEY, Authority
from consent.events import ConsentEvent
from consent.lifecycle import Event, State
from consent.refusals import ConsentUnknown
from consent.signatures import attestation_in, challenge, confirmed
from consent.succession import ConsentConflict
from node.consents.desk import ConfirmedGrant, Recorded, SignedGrant
from node.consents.offers import Offer, OfferTerms
from node.consents.service import Changed, ConsentService
from node.consents.stored import artefact_of
from node.storage import consents, subjects
from node.storage.consents import StoredConsent
from protocols.errors import SignatureInvalid, StateConflict
from protocols.keys import SigningKey
from protocols.passkeys import RelyingParty, assertion_of

PREPARED_MS = 15 * 60_000

# What this node knows of a customer who signs in: the customer it keeps records of.
IDENTIFIED_BY = "customer_sign_in"


class PreparedExpired(StateConflict):
    """What was prepared is too old to be confirmed."""

    code = "prepared_expired"
    next_step = "Read the consent once more and confirm it then."


@dataclass(frozen=True, slots=True)
class GrantChoice:
    """What a person chose.

    Attributes:
        terms: purposes, recipients, categories and how long.
        request: id of the consent that was asked for and is granted; empty: none.
        changes: id of the consent in force that this replaces; empty: none.
    """

    terms: OfferTerms = field(default_factory=OfferTerms)
    request: str = ""
    changes: str = ""


@dataclass(frozen=True, slots=True)
class PasskeySigner:
    """The person will sign with this passkey, one of their account's: a COSE key."""

    public_key: bytes


@dataclass(frozen=True, slots=True)
class AccountProof:
    """The person confirmed in a signed-in session, with a second factor.

    Attributes:
        confirmed_by: `passkey`, `password_totp` or `oidc`.
    """

    confirmed_by: str


@dataclass(frozen=True, slots=True)
class PasskeyProof:
    """What `navigator.credentials.get` returned, as JSON."""

    response: bytes


@dataclass(frozen=True)
class Prepared:
    """What the person is about to grant.

    Attributes:
        body: the very bytes; hand them in with the proof.
        challenge: what the passkey has to sign, 32 bytes; empty: no passkey.
        artefact: the terms they hold.
        notice_text: what has to be shown,
        adverse_notice_text: and this too, unless it is empty.
        expires_at_ms: until when it can be confirmed.
    """

    body: bytes
    challenge: bytes
    artefact: Artefact
    notice_text: str
    adverse_notice_text: str
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """What the person is about to say with their passkey; hand `body` in with the proof."""

    body: bytes
    challenge: bytes
    expires_at_ms: int


class PersonalConsents:
    """One node's consents, each call on behalf of one person; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        service: ConsentService,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        relying_party: RelyingParty,
        clock: Callable[[], int],
    ) -> None:
        """Act through `service`.

        Args:
            database: the node's.
            service: its consents.
            member_id: this node.
            signing_key: gives the key that attests whose a passkey is.
            relying_party: the site that passkeys are bound to.
            clock: UTC milliseconds now.
        """
        self._database = database
        self._service = service
        self._member_id = member_id
        self._key = signing_key
        self._relying_party = relying_party
        self._clock = clock

    # -- granting

    def prepare(
        self, pseudonym: bytes, choice: GrantChoice, signer: PasskeySigner | AccountProof
    ) -> Prepared:
        """What the person would grant by a choice.

        Raises:
            CredenceError: as `ConsentOffers.offer`, where the choice cannot be offered.
            TemplateUnknown, ConsentOutOfBounds: it is not within the template's bounds.
            ConsentUnknown: the consent it grants or changes is not this person's.
            ConsentConflict: the consent it grants or changes is in another state.
        """
        replaces = self._replaced(pseudonym, choice)
        offer = self._service.offer(choice.terms)
        artefact = offer.artefact(
            pseudonym,
            self._authority(pseudonym, offer, signer),
            replaces=replaces,
            consent_id=choice.request or None,
        )
        self._service.check_terms(artefact)
        by_passkey = artefact.auth_method == PASSKEY
        return Prepared(
            body=artefact.body(),
            challenge=challenge(artefact.body(), artefact.authority) if by_passkey else b"",
            artefact=artefact,
            notice_text=offer.notice_text,
            adverse_notice_text=offer.adverse_notice_text,
            expires_at_ms=artefact.valid_from_ms + PREPARED_MS,
        )

    def grant(self, pseudonym: bytes, body: bytes, proof: PasskeyProof | AccountProof) -> Recorded:
        """Put what was prepared in force; the same again, by whoever confirmed it, changes nothing.

        Raises:
            Malformed: `body` or the proof is not of its form.
            PreparedExpired: check 2.
            SignatureInvalid: the proof is not of what was prepared.
            CredenceError: as `ConsentDesk.record`.
        """
        artefact = Artefact.parse(body)
        with self._database.read() as connection:
            stored = consents.find(connection, artefact.consent_id)
        if stored is not None and stored.terms.pseudonym != pseudonym:  # 1
            raise ConsentUnknown("no consent of this person by that id")
        if stored is not None and stored.terms.consent_hash == artefact.consent_hash:
            if stored.terms.state is State.ACTIVE:
                return Recorded(artefact.consent_id, artefact.consent_hash)
        elif self._clock() >= artefact.valid_from_ms + PREPARED_MS:  # 2
            raise PreparedExpired("the consent was prepared too long ago")
        if isinstance(proof, PasskeyProof):
            attestation = self._attestation(pseudonym, artefact)  # 3
            signed = confirmed(body, artefact.authority, assertion_of(proof.response), attestation)
            (recorded,) = self._service.record_many([SignedGrant(pseudonym, signed)])
            return recorded
        if artefact.authority != authorities.account(proof.confirmed_by):  # 4
            raise SignatureInvalid("the consent was prepared for another confirmation")
        (recorded,) = self._service.record_many([ConfirmedGrant(pseudonym, artefact)])
        return recorded

    def refuse(self, pseudonym: bytes, consent_id: str) -> State:
        """Say no to what was asked for.

        Raises:
            ConsentUnknown, TransitionInvalid: as `ConsentRequests.refuse`.
        """
        return self._service.requests.refuse(pseudonym, consent_id)

    # -- stopping and going on

    def withdraw(self, pseudonym: bytes, consent_id: str, proof: AccountProof) -> Changed:
        """Withdraw in the session; in effect here before anybody is told, and told at once.

        Raises:
            ConsentUnknown: it is not this person's.
            TransitionInvalid: it is not in force any more.
        """
        return self._say(pseudonym, consent_id, Event.WITHDRAW, proof)

    def pause(self, pseudonym: bytes, consent_id: str, proof: AccountProof) -> Changed:
        """Pause in the session.

        Raises:
            ConsentUnknown, TransitionInvalid: as `withdraw`.
        """
        return self._say(pseudonym, consent_id, Event.PAUSE, proof)

    def resume(self, pseudonym: bytes, consent_id: str, proof: AccountProof) -> Changed:
        """Resume in the session what no key of the person granted.

        Raises:
            ConsentUnknown, TransitionInvalid: as `withdraw`.
            SignatureInvalid: the person's own key granted it; see `prepare_event`.
        """
        return self._say(pseudonym, consent_id, Event.RESUME, proof)

    def prepare_event(self, pseudonym: bytes, consent_id: str, event: Event) -> PreparedEvent:
        """What the person's passkey has to sign to withdraw, pause or resume.

        Raises:
            ConsentUnknown: it is not this person's.
            ConsentConflict: no passkey granted it.
        """
        stored = self._own(pseudonym, consent_id)
        if stored.auth_method != PASSKEY:
            raise ConsentConflict("no passkey granted this consent")
        said = self._service.event(consent_id, event)
        body = said.body()
        return PreparedEvent(body, challenge(body, said.authority), said.at_ms + PREPARED_MS)

    def apply(self, pseudonym: bytes, body: bytes, proof: PasskeyProof) -> Changed:
        """Apply an event that the person's passkey signed.

        Raises:
            Malformed, SignatureInvalid: body or proof do not hold.
            PreparedExpired: check 2.
            CredenceError: as `ConsentDesk.apply`.
        """
        said = ConsentEvent.parse(body)
        stored = self._own(pseudonym, said.consent_id)
        if self._clock() >= said.at_ms + PREPARED_MS:  # 2
            raise PreparedExpired("the statement was prepared too long ago")
        if stored.auth_method != PASSKEY:
            raise ConsentConflict("no passkey granted this consent")
        attestation = attestation_in(stored.artefact)
        signed = confirmed(body, said.authority, assertion_of(proof.response), attestation)
        return self._service.apply(said.consent_id, signed)

    # -- to look at

    def of_person(self, pseudonym: bytes) -> list[StoredConsent]:
        """All consents of the person, the newest change first."""
        return self._service.of_subject(pseudonym)

    def artefact(self, pseudonym: bytes, consent_id: str) -> Artefact:
        """The terms of one consent of the person.

        Raises:
            ConsentUnknown: it is not this person's.
        """
        return artefact_of(self._own(pseudonym, consent_id))

    def _say(self, pseudonym: bytes, consent_id: str, event: Event, proof: AccountProof) -> Changed:
        self._own(pseudonym, consent_id)  # 1
        said = self._service.event(consent_id, event, authorities.account(proof.confirmed_by))
        return self._service.say(said)

    def _own(self, pseudonym: bytes, consent_id: str) -> StoredConsent:
        with self._database.read() as connection:
            stored = consents.find(connection, consent_id)
        if stored is None or stored.terms.pseudonym != pseudonym:  # 1
            raise ConsentUnknown("no consent of this person by that id")
        return stored

    def _replaced(self, pseudonym: bytes, choice: GrantChoice) -> Artefact | None:
        if choice.request:
            if self._own(pseudonym, choice.request).terms.state is not State.REQUESTED:
                raise ConsentConflict("this request waits for no answer any more")
            return None
        if not choice.changes:
            return None
        stored = self._own(pseudonym, choice.changes)
        if stored.terms.state not in {State.ACTIVE, State.PAUSED}:
            raise ConsentConflict("a consent that is not in force is not changed")
        return artefact_of(stored)

    def _authority(
        self, pseudonym: bytes, offer: Offer, signer: PasskeySigner | AccountProof
    ) -> Authority:
        if isinstance(signer, AccountProof):
            return authorities.account(signer.confirmed_by)
        attested = self._attested(
            pseudonym, signer.public_key, hash_of_handles(offer.handles(pseudonym)),
            offer.handle_epoch,
        )  # fmt: skip
        return authorities.passkey(signer.public_key, attested.sha256)

    def _attestation(self, pseudonym: bytes, artefact: Artefact) -> bytes:
        attested = self._attested(
            pseudonym,
            artefact.subject_key,
            hash_of_handles(artefact.handles),
            artefact.handle_epoch,
        )
        if attested.sha256 != artefact.authority.attestation_sha256:  # 3
            raise ConsentConflict("what is known of the person changed; prepare the consent again")
        return sign_attestation(attested, self._key())

    def _attested(
        self, pseudonym: bytes, public_key: bytes, handles_sha256: bytes, epoch: int
    ) -> SubjectAttestation:
        with self._database.read() as connection:
            person = subjects.by_pseudonym(connection, pseudonym)
        return SubjectAttestation(
            controller=self._member_id,
            key=public_key,
            handles_sha256=handles_sha256,
            handle_epoch=epoch,
            rp_id=self._relying_party.rp_id,
            origins=tuple(sorted(set(self._relying_party.origins))),
            identified_by=IDENTIFIED_BY,
            identified_at_ms=person.enrolled_at_ms,
        )
