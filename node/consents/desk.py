"""The consent node's own acts: recording what its customers sign, and what they say later.

A consent node records a consent when

  1. the person signed it (by device key or passkey, or on paper before an officer), over canonical
     bytes, and nobody else did; or confirmed it in a session of this node's own;
  2. it names this node as controller, the person's key is not the node's own, and of a passkey this
     node attested whose it is;
  3. it keeps the bounds of its template, and its time is not over;
  4. all parties are active members, and its handles are of the key epoch in force;
  5. every handle is that of the very person it is recorded for, who is known here;
  6. it is new, grants what was asked for, or is the next version of one in force
     (`consent.succession`).

It applies an event of a person when

  1. the person signed it, over canonical bytes, and nobody else did;
  2. it is about the consent it is handed in for, which this node controls;
  3. it speaks about the consent held (`consent.succession.check_event`);
  4. the lifecycle's table knows it in the consent's state.

Then the node countersigns, stores, logs and promises the delivery, all in one transaction.
"""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.database import Connection, Database
from consent.artefact import Artefact, check_attestation, countersign, verify_subject
from consent.authority import ACCOUNT
from consent.events import ConsentEvent, countersign_event, verify_subject_event
from consent.lifecycle import Event, State
from consent.policy import Refusal
from consent.refusals import ConsentUnknown, refusal_error
from consent.signatures import sign_alone
from consent.succession import ConsentConflict, ControllerMismatch, check_event, check_version
from consent.templates import Templates
from node.consents.batch import held_of
from node.consents.inbox import HandleEpochUnusable
from node.consents.register import ConsentRegister, Verified
from node.consents.requests import still_waiting
from node.network.pairwise import PairKeys
from node.storage import consents, subjects
from node.storage.consents import StoredConsent
from node.storage.subjects import UnknownSubject
from protocols.directory import Directory
from protocols.errors import SignatureInvalid
from protocols.keys import SigningKey
from protocols.pseudonyms import handle


@dataclass(frozen=True, slots=True)
class SignedGrant:
    """An artefact signed by its subject (`consent.artefact.sign_as_subject`), and who that is.

    Attributes:
        pseudonym: the person, 32 bytes.
        jws: general JWS JSON with the subject's signature.
    """

    pseudonym: bytes
    jws: bytes


@dataclass(frozen=True, slots=True)
class ConfirmedGrant:
    """An artefact that its subject confirmed in a signed-in session of this node.

    Attributes:
        pseudonym: the person, 32 bytes.
        artefact: the terms, by the authority of an account.
    """

    pseudonym: bytes
    artefact: Artefact


@dataclass(frozen=True, slots=True)
class Recorded:
    """A consent in force."""

    consent_id: str
    consent_hash: bytes


class ConsentDesk:
    """Records and changes the consents that this node controls; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        register: ConsentRegister,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        directory: Callable[[], Directory],
        pair_keys: PairKeys,
        templates: Templates,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._register = register
        self._member_id = member_id
        self._key = signing_key
        self._directory = directory
        self._pair_keys = pair_keys
        self._templates = templates
        self._clock = clock

    def record(self, grants: Sequence[SignedGrant | ConfirmedGrant]) -> list[Recorded]:
        """Put consents in force, all or none, in one transaction.

        Raises:
            Malformed, SignatureInvalid: check 1.
            ControllerMismatch, AttestationInvalid: check 2.
            TemplateUnknown, ConsentOutOfBounds, ConsentExpired: check 3.
            UnknownMember, MemberNotActive, HandleEpochUnusable: check 4.
            SubjectMismatch, UnknownSubject: check 5.
            ConsentConflict, ConsentRollback, ReleaseRefused: check 6.
        """
        now_ms = self._clock()
        key = self._key()
        checked = [self._examine(one, key, now_ms) for one in grants]
        signed = [_signed(one, key) for one in grants]
        with self._database.write() as connection:
            held = self._held(connection, grants, checked)
            verified = [
                Verified(
                    artefact,
                    jws,
                    one.pseudonym,
                    self._replaced(connection, artefact, one, held, now_ms),
                )
                for one, artefact, jws in zip(grants, checked, signed, strict=True)
            ]
            self._register.enter(connection, verified, now_ms)
        return [Recorded(one.consent_id, one.consent_hash) for one in checked]

    def apply(self, consent_id: str, signed: bytes, *, only: Event | None = None) -> State:
        """Apply what a person said; effective when this returns the state after it.

        Args:
            consent_id: the consent.
            signed: the event with the person's signature.
            only: the event it has to be; None: any.

        Raises:
            Malformed, SignatureInvalid: check 1.
            ConsentUnknown, ConsentConflict, ControllerMismatch: checks 2 and 3.
            EventOutdated: check 3.
            TransitionInvalid: check 4.
        """
        now_ms = self._clock()
        event = verify_subject_event(signed)  # 1
        if event.consent_id != consent_id:  # 2
            raise ConsentConflict("the event is about another consent")
        if only is not None and event.event is not only:  # 2
            raise ConsentConflict(f"the event is no {only}")
        return self._change(event, countersign_event(signed, self._key()), now_ms)

    def say(self, event: ConsentEvent) -> State:
        """Apply what this node alone signs, and the event says so.

        A person's request in a signed-in session, or that a consent is invalid.

        Raises:
            SignatureInvalid: the person's own key has to sign this.
            ConsentUnknown, ControllerMismatch, TransitionInvalid: as `apply`.
        """
        event = ConsentEvent.parse(event.body())
        if event.authority.kid:
            raise SignatureInvalid("this takes a signature that is not the node's")
        return self._change(event, sign_alone(event.body(), self._key()), self._clock())

    def _change(self, event: ConsentEvent, evidence: bytes, now_ms: int) -> State:
        consent_id = event.consent_id
        with self._database.write() as connection:
            stored = consents.find(connection, consent_id)
            if stored is None:  # 2
                raise ConsentUnknown("this node keeps no consent of this id")
            if stored.terms.controller != self._member_id:  # 2
                raise ControllerMismatch("another member is this consent's consent node")
            check_event(event, held_of(stored), now_ms)  # 3
            return self._register.change(connection, stored, event, evidence, now_ms)  # 4

    def _examine(
        self, grant: SignedGrant | ConfirmedGrant, key: SigningKey, now_ms: int
    ) -> Artefact:
        artefact = _artefact(grant)  # 1
        # 2
        if artefact.controller != self._member_id:
            raise ControllerMismatch("the consent names another consent node")
        if key.verify_key.bytes in {artefact.subject_key, artefact.authority.officer_key}:
            raise SignatureInvalid("a consent node cannot consent in a person's place")
        if isinstance(grant, SignedGrant):
            check_attestation(grant.jws, artefact, key.verify_key)
        # 3
        self._templates.check(artefact)
        if now_ms >= artefact.valid_until_ms:
            raise refusal_error(Refusal.CONSENT_EXPIRED)
        # 4
        directory = self._directory()
        if artefact.handle_epoch != directory.epoch:
            raise HandleEpochUnusable(f"the key epoch in force is {directory.epoch}")
        for party in artefact.parties:
            directory.active_member(party)
            # 5
            keys = self._pair_keys.candidates(party, artefact.handle_epoch)
            made = [handle(key, grant.pseudonym) for key in keys]
            if not any(hmac.compare_digest(artefact.handles[party], one) for one in made):
                raise refusal_error(Refusal.SUBJECT_MISMATCH)
        return artefact

    def _held(
        self,
        connection: Connection,
        grants: Sequence[SignedGrant | ConfirmedGrant],
        checked: Sequence[Artefact],
    ) -> dict[str, StoredConsent]:
        people = {one.pseudonym for one in grants}
        # 5
        if subjects.known_among(connection, people) != people:
            raise UnknownSubject("a consent's subject is not known at this node")
        ids = [one.consent_id for one in checked]
        # 6
        if len(set(ids)) != len(ids):
            raise ConsentConflict("two versions of one consent in one batch")
        return consents.find_many(connection, ids)

    def _replaced(
        self,
        connection: Connection,
        artefact: Artefact,
        grant: SignedGrant | ConfirmedGrant,
        held: dict[str, StoredConsent],
        now_ms: int,
    ) -> StoredConsent | None:
        stored = held.get(artefact.consent_id)
        # 6
        if stored is None:
            if artefact.version != 1:
                raise ConsentConflict("there is no version in force to replace")
            return None
        if stored.terms.pseudonym != grant.pseudonym:
            raise refusal_error(Refusal.SUBJECT_MISMATCH)
        if stored.terms.state is State.REQUESTED:
            if artefact.version != 1:
                raise ConsentConflict("what was asked for is granted in its first version")
            if not still_waiting(connection, artefact.consent_id, now_ms):
                raise refusal_error(Refusal.CONSENT_NOT_ACTIVE)
            return stored
        if not check_version(artefact, held_of(stored)):
            raise ConsentConflict("the consent is in force already")
        if artefact.version != stored.version + 1:
            raise ConsentConflict("versions follow one another without a gap")
        return stored


def _artefact(grant: SignedGrant | ConfirmedGrant) -> Artefact:
    if isinstance(grant, SignedGrant):
        return verify_subject(grant.jws)
    if grant.artefact.auth_method != ACCOUNT:
        raise SignatureInvalid("this consent takes a signature that is not the node's")
    return Artefact.parse(grant.artefact.body())


def _signed(grant: SignedGrant | ConfirmedGrant, key: SigningKey) -> bytes:
    if isinstance(grant, SignedGrant):
        return countersign(grant.jws, key)
    return sign_alone(grant.artefact.body(), key)
