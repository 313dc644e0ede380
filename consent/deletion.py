"""What a party deleted because a consent ended there: a signed attestation, kept as evidence.

It travels with the party's acknowledgement of the event and says how much of each kind there was;
zero is an answer too. It speaks of what was received and made under the consent. A holder's own
records are its own, and what a law says to keep is not among it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from consent.fields import CONSENT_ID, Fields
from protocols.canonical import canonical_json, parse_canonical
from protocols.errors import SignatureInvalid
from protocols.jws import sign_general, signers, unverified_payload, verify_general
from protocols.keys import SigningKey, VerifyKey

TYPE = "credence.deletion/1"
MAX_DELETION_BYTES = 4096
MAX_COUNT = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Deletion:
    """What one party deleted when a consent ended there.

    Attributes:
        member_id: the party.
        consent_id: the consent.
        consent_hash: the version that was in force there, 32 bytes.
        signals: sets of signals received from holders.
        scores: scores made under it.
        answers: sealed answers kept for a repeated request.
        at_ms: when, by the party's clock, UTC milliseconds.
    """

    member_id: str
    consent_id: str
    consent_hash: bytes
    signals: int
    scores: int
    answers: int
    at_ms: int

    @property
    def total(self) -> int:
        """Everything together."""
        return self.signals + self.scores + self.answers

    def body(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical_json({
            "type": TYPE,
            "member_id": self.member_id,
            "consent_id": self.consent_id,
            "consent_hash": self.consent_hash.hex(),
            "signals": self.signals,
            "scores": self.scores,
            "answers": self.answers,
            "at_ms": self.at_ms,
        })  # fmt: skip

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read an attestation's body.

        Raises:
            Malformed: too large, not canonical, or a field missing, unknown or out of its grammar.
        """
        fields = Fields(parse_canonical(body, max_bytes=MAX_DELETION_BYTES), "the deletion")
        fields.constant("type", TYPE)
        found = cls(
            member_id=fields.member("member_id"),
            consent_id=fields.text("consent_id", CONSENT_ID),
            consent_hash=fields.digest("consent_hash"),
            signals=fields.integer("signals", 0, MAX_COUNT),
            scores=fields.integer("scores", 0, MAX_COUNT),
            answers=fields.integer("answers", 0, MAX_COUNT),
            at_ms=fields.time_ms("at_ms"),
        )
        fields.end()
        return found


def sign_deletion(deletion: Deletion, key: SigningKey) -> bytes:
    """The attestation as a JWS with the party's signature."""
    return sign_general(deletion.body(), [(key.verify_key.key_id, key)])


def verify_deletion(
    jws: bytes, member_id: str, consent_id: str, keys: Sequence[VerifyKey]
) -> Deletion:
    """Check an attestation that came with an acknowledgement.

    Args:
        jws: the bytes as received.
        member_id: who acknowledged.
        consent_id: what the acknowledged event is about.
        keys: those under which the party may sign now.

    Raises:
        Malformed: it is no attestation.
        SignatureInvalid: it is another party's, about another consent, or not signed by the party.
    """
    deletion = parse_signed(jws)
    if (deletion.member_id, deletion.consent_id) != (member_id, consent_id):
        raise SignatureInvalid("the attestation is another party's, or about another consent")
    by_id = {key.key_id: key for key in keys}
    named = [one for one in signers(jws, max_bytes=MAX_DELETION_BYTES) if one in by_id]
    verify_general(jws, {one: by_id[one] for one in named}, max_bytes=MAX_DELETION_BYTES)
    return deletion


def parse_signed(jws: bytes) -> Deletion:
    """An attestation that was verified before it was stored.

    Raises:
        Malformed: it is none.
    """
    return Deletion.parse(unverified_payload(jws, max_bytes=MAX_DELETION_BYTES))
