"""What a person later says about a consent: withdraw, pause, resume.

An event is a small signed document like the artefact itself: RFC 8785 bytes, signed with the very
key that signed the consent, countersigned by the consent node. It carries that key, so that a
withdrawal which overtakes its consent on the way can still be checked and remembered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from consent.artefact import MAX_JWS_BYTES, countersign
from consent.fields import CONSENT_ID, Fields
from consent.lifecycle import Event
from protocols.canonical import canonical_json, parse_canonical
from protocols.errors import Malformed, SignatureInvalid
from protocols.jws import sign_general, unverified_payload, verify_general
from protocols.keys import SigningKey, VerifyKey

TYPE = "credence.consent-event/1"
MAX_BODY_BYTES = 2048

# Events that a person signs; the others follow from time or from a later version.
SIGNED = frozenset({Event.WITHDRAW, Event.PAUSE, Event.RESUME})


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One statement of a subject about one consent.

    Attributes:
        event: `withdraw`, `pause` or `resume`.
        consent_id: the consent.
        consent_hash: the version the person saw, 32 bytes.
        controller: member id of its consent node.
        subject_key: the person's Ed25519 public key, 32 bytes.
        at_ms: when the person said so, UTC milliseconds; later events state a later time.
    """

    event: Event
    consent_id: str
    consent_hash: bytes
    controller: str
    subject_key: bytes
    at_ms: int

    def body(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical_json({
            "type": TYPE,
            "event": self.event.value,
            "consent_id": self.consent_id,
            "consent_hash": self.consent_hash.hex(),
            "controller": self.controller,
            "subject_key": self.subject_key.hex(),
            "at_ms": self.at_ms,
        })  # fmt: skip

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read an event's body.

        Raises:
            Malformed: too large, not canonical, or a field missing, unknown or out of its grammar.
        """
        fields = Fields(parse_canonical(body, max_bytes=MAX_BODY_BYTES), "the consent event")
        fields.constant("type", TYPE)
        name = fields.prose("event", 1, 16)
        if name not in SIGNED:
            raise Malformed("the consent event is none that a person signs")
        found = cls(
            event=Event(name),
            consent_id=fields.text("consent_id", CONSENT_ID),
            consent_hash=fields.digest("consent_hash"),
            controller=fields.member("controller"),
            subject_key=fields.digest("subject_key"),
            at_ms=fields.time_ms("at_ms"),
        )
        fields.end()
        return found


def sign_event(event: ConsentEvent, subject_key: SigningKey) -> bytes:
    """The event as a JWS with the subject's signature; the controller countersigns."""
    return sign_general(event.body(), [(subject_key.verify_key.key_id, subject_key)])


def countersign_event(jws: bytes, node_key: SigningKey) -> bytes:
    """Add the controller's signature to what the subject signed (verify that first)."""
    return countersign(jws, node_key)


def verify_subject_event(jws: bytes) -> ConsentEvent:
    """Check what a subject handed in: form, grammar, and that its key signed it.

    Whether that key is the one of the consent is for the caller, who has the consent.

    Raises:
        Malformed: it is not an event in canonical bytes.
        SignatureInvalid: it is not signed by the key it states, or by more than that key.
    """
    event = ConsentEvent.parse(unverified_payload(jws, max_bytes=MAX_JWS_BYTES))
    subject = VerifyKey(event.subject_key)
    verify_general(jws, {subject.key_id: subject}, max_bytes=MAX_JWS_BYTES)
    return event


def verify_event(jws: bytes, controller_key: Callable[[str], VerifyKey]) -> ConsentEvent:
    """Check an event as it travels; the same steps as `consent.artefact.verify_artefact`.

    Raises:
        Malformed: it is not an event in canonical bytes.
        CredenceError: whatever `controller_key` raises for an unknown controller.
        SignatureInvalid: not exactly the stated subject key and the controller signed it.
    """
    event = ConsentEvent.parse(unverified_payload(jws, max_bytes=MAX_JWS_BYTES))
    controller = controller_key(event.controller)
    subject = VerifyKey(event.subject_key)
    if subject == controller:
        raise SignatureInvalid("a controller cannot speak in a subject's place")
    keys = {subject.key_id: subject, controller.key_id: controller}
    verify_general(jws, keys, max_bytes=MAX_JWS_BYTES)
    return event
