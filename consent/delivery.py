"""What a consent node hands to a holder or recipient, and the signed acknowledgement it gets back.

An acknowledgement is evidence: "this document is in effect here since then". It signs the hash of
the very bytes delivered, the refusal (if any) and the time, so it cannot be carried over to another
event, another outcome or another moment.
"""

from dataclasses import dataclass
from enum import StrEnum

from consent.deletion import Deletion, sign_deletion
from protocols.canonical import sha256
from protocols.keys import SigningKey, VerifyKey

ACKNOWLEDGEMENT_DOMAIN = "consent-acknowledgement"


class Kind(StrEnum):
    """What a delivery carries."""

    ARTEFACT = "artefact"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One document on its way.

    Attributes:
        kind: artefact or event.
        data: the JWS with the signatures of subject and controller.
        status_index: of an artefact, where the controller's status list speaks of it. It stands
            beside the document, not in it: nobody agrees to it, it is given when the consent is
            recorded, and only the controller, who signs the list, can say what it is.
    """

    kind: Kind
    data: bytes
    status_index: int | None = None

    @property
    def delivery_id(self) -> str:
        """What its acknowledgement answers to: the first 40 hex digits of its hash."""
        return sha256(self.data).hex()[:40]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A party's answer to a delivery.

    Attributes:
        delivery_id: of the delivery.
        refusal: empty: stored and in effect; otherwise a stable code.
        effective_at_ms: since when, or when it was refused, by the party's clock.
        signature: 64 bytes by the party's signing key.
        deletion: of an event that ended a consent there, the party's signed attestation of what it
            deleted (`consent.deletion`); empty: there was none to end.
    """

    delivery_id: str
    refusal: str
    effective_at_ms: int
    signature: bytes
    deletion: bytes = b""

    @property
    def accepted(self) -> bool:
        """Whether the document is in effect at the party."""
        return not self.refusal


def acknowledge(
    delivery: Delivery,
    refusal: str,
    effective_at_ms: int,
    key: SigningKey,
    deleted: Deletion | None = None,
) -> Acknowledgement:
    """Sign the answer to a delivery, and what was deleted because of it."""
    message = _message(delivery, refusal, effective_at_ms)
    signature = key.sign(ACKNOWLEDGEMENT_DOMAIN, message)
    deletion = b"" if deleted is None else sign_deletion(deleted, key)
    return Acknowledgement(delivery.delivery_id, refusal, effective_at_ms, signature, deletion)


def verify_acknowledgement(
    acknowledgement: Acknowledgement, delivery: Delivery, key: VerifyKey
) -> None:
    """Check that `key` signed this answer to this delivery.

    Raises:
        SignatureInvalid: it did not.
    """
    message = _message(delivery, acknowledgement.refusal, acknowledgement.effective_at_ms)
    key.verify(ACKNOWLEDGEMENT_DOMAIN, message, acknowledgement.signature)


def _message(delivery: Delivery, refusal: str, effective_at_ms: int) -> bytes:
    # Hash and time have fixed lengths, so the refusal in the end needs no delimiter. The time is
    # an int64 on the wire: whatever arrives there has an encoding here.
    time = effective_at_ms.to_bytes(8, "big", signed=True)
    return sha256(delivery.data) + time + refusal.encode()
