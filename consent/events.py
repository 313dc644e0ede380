"""What is later said about a consent: withdraw, pause, resume, invalidate.

An event is a small signed document like the artefact itself: RFC 8785 bytes, signed by the
authority it states (`consent.authority`), countersigned by the consent node. It carries the
person's key, so that a withdrawal which overtakes its consent on the way can still be checked and
remembered.

Stopping is never harder than granting (PIPL article 15): in a signed-in session or a branch a
person may withdraw or pause any consent, whatever key signed it. Starting again takes the authority
that granted. What may follow what is in `consent.succession`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from consent.authority import CONTROLLER, REASONS, Authority
from consent.fields import CONSENT_ID, Fields
from consent.lifecycle import Event
from consent.signatures import MAX_JWS_BYTES, countersign, sign, verify_signers
from protocols.canonical import canonical_json, parse_canonical
from protocols.errors import Malformed
from protocols.jws import unverified_payload
from protocols.keys import SigningKey, VerifyKey

TYPE = "credence.consent-event/1"
MAX_BODY_BYTES = 2048

# Events that a person speaks for, and the one that a consent node declares.
SIGNED = frozenset({Event.WITHDRAW, Event.PAUSE, Event.RESUME})
DECLARED = frozenset({Event.INVALIDATE})


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One statement about one consent.

    Attributes:
        event: `withdraw`, `pause` or `resume` of a person; `invalidate` of the consent node.
        consent_id: the consent.
        consent_hash: the version the person saw, 32 bytes.
        controller: member id of its consent node.
        authority: by what the person speaks, or why the consent node does.
        at_ms: when it was said, UTC milliseconds; later events state a later time.
    """

    event: Event
    consent_id: str
    consent_hash: bytes
    controller: str
    authority: Authority
    at_ms: int

    @property
    def subject_key(self) -> bytes:
        """The person's own key; empty: another authority than theirs."""
        return self.authority.key

    def body(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical_json({
            "type": TYPE,
            "event": self.event.value,
            "consent_id": self.consent_id,
            "consent_hash": self.consent_hash.hex(),
            "controller": self.controller,
            "authority": self.authority.to_json(),
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
        found = cls(
            event=Event(fields.choice("event", SIGNED | DECLARED)),
            consent_id=fields.text("consent_id", CONSENT_ID),
            consent_hash=fields.digest("consent_hash"),
            controller=fields.member("controller"),
            authority=Authority.read(fields.object("authority")),
            at_ms=fields.time_ms("at_ms"),
        )
        fields.end()
        declared = found.authority.method == CONTROLLER
        if declared != (found.event in DECLARED):
            raise Malformed("a consent event by an authority that cannot say so")
        if declared and found.authority.reason not in REASONS:
            raise Malformed("a consent is not declared invalid for this")
        return found


def sign_event(event: ConsentEvent, key: SigningKey) -> bytes:
    """The event as a JWS with the signature of the device key, or of the officer."""
    return sign(event.body(), event.authority, key)


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
    verify_signers(jws, event.authority, None)
    return event


def verify_event(jws: bytes, controller_key: Callable[[str], VerifyKey]) -> ConsentEvent:
    """Check an event as it travels; the same steps as `consent.artefact.verify_artefact`.

    The attestation of a passkey is the one the event names by its hash, for which the controller
    vouches with its signature; it may be older than the controller's key.

    Raises:
        Malformed: it is not an event in canonical bytes.
        CredenceError: whatever `controller_key` raises for an unknown controller.
        SignatureInvalid: not exactly the stated authority and the controller signed it.
    """
    event = ConsentEvent.parse(unverified_payload(jws, max_bytes=MAX_JWS_BYTES))
    verify_signers(jws, event.authority, controller_key(event.controller))
    return event
