"""What one member tells another about a person's rights, and the signed acknowledgement of it.

The consent node speaks for its customer: a dispute about an item that another member furnished,
its end, a freeze and its end. The furnisher replies. A notice is RFC 8785 JSON that names the
person by a consent both members keep; it is signed by its sender as sent.
"""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from consent.fields import Fields
from consent.rights import MAX_STATEMENT, MAX_TEXT, clean_text
from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.directory import MemberEntry
from protocols.errors import InvalidInput, Malformed
from protocols.identifiers import is_field_name
from protocols.keys import SigningKey

TYPE = "credence.rights-notice/1"
DOMAIN = "rights-notice"
ACKNOWLEDGEMENT_DOMAIN = "rights-acknowledgement"
MAX_NOTICE_BYTES = 16 * 1024
MAX_CONSENTS = 32

_REQUEST = re.compile(r"(?:rgt_[a-z2-7]{26})?")
_SIGNAL = re.compile(r"(?:[a-z][a-z0-9_]{0,63})?")
_VALUE = re.compile(r"(?:-?[0-9]{1,15}(?:\.[0-9]{1,9})?)?")


class Topic(StrEnum):
    """What a notice says; the values travel."""

    DISPUTE = "dispute"  # an item is disputed: flag it; who furnished it looks into it
    STATEMENT = "statement"  # what the person states beside the item, or took back
    CLOSED = "closed"  # the dispute is over, or was withdrawn: the flag goes
    REPLY = "reply"  # of the furnisher
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"


class Finding(StrEnum):
    """What a furnisher found; the states a dispute has then."""

    ANSWERED = "answered"
    CORRECTED = "corrected"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice.

    Attributes:
        topic: what it says.
        message_id: "rgm_" and 26 characters; once at its receiver.
        sender: member id.
        receiver: member id.
        at_ms: when it happened, UTC milliseconds; a later freeze or unfreeze states a later time.
        consents: hashes of consents that name the person, 32 bytes each, sorted.
        request_id: the dispute at its consent node; empty for freezes.
        furnisher: member id of who furnished the item; empty for freezes.
        signal: id of the disputed signal; empty for freezes.
        text: what the person disputes, for who furnished it alone; or the outcome in writing.
        statement: what the person states beside the item; at most 200 characters.
        due_at_ms: by when a reply is due; 0 where none is.
        finding: of a reply, and of the end of a dispute that had one; otherwise empty.
    """

    topic: Topic
    message_id: str
    sender: str
    receiver: str
    at_ms: int
    consents: tuple[bytes, ...]
    request_id: str = ""
    furnisher: str = ""
    signal: str = ""
    text: str = ""
    statement: str = ""
    due_at_ms: int = 0
    finding: str = ""

    def body(self) -> bytes:
        """The canonical bytes that are signed."""
        return canonical_json({
            "type": TYPE,
            "topic": self.topic.value,
            "message_id": self.message_id,
            "from": self.sender,
            "to": self.receiver,
            "at_ms": self.at_ms,
            "consents": [one.hex() for one in self.consents],
            "request_id": self.request_id,
            "furnisher": self.furnisher,
            "signal": self.signal,
            "text": self.text,
            "statement": self.statement,
            "due_at_ms": self.due_at_ms,
            "finding": self.finding,
        })  # fmt: skip

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a notice's body.

        Raises:
            Malformed: too large, not canonical, or a field missing, unknown or out of its grammar.
        """
        fields = Fields(parse_canonical(body, max_bytes=MAX_NOTICE_BYTES), "the rights notice")
        fields.constant("type", TYPE)
        found = cls(
            topic=_one_of(Topic, fields.prose("topic", 1, 16)),
            message_id=fields.text("message_id", re.compile(r"rgm_[a-z2-7]{26}")),
            sender=fields.member("from"),
            receiver=fields.member("to"),
            at_ms=fields.time_ms("at_ms"),
            consents=tuple(
                bytes.fromhex(one) for one in fields.words("consents", _is_digest, 1, MAX_CONSENTS)
            ),
            request_id=fields.text("request_id", _REQUEST),
            furnisher=fields.text("furnisher", re.compile(r"(?:[a-z][a-z0-9-]{1,40})?")),
            signal=fields.text("signal", _SIGNAL),
            text=_text(fields, "text", MAX_TEXT),
            statement=_text(fields, "statement", MAX_STATEMENT),
            due_at_ms=fields.time_ms("due_at_ms"),
            finding=fields.text("finding", re.compile(r"answered|corrected|rejected|")),
        )
        fields.end()
        found.check()
        return found

    def check(self) -> None:
        """Refuse fields that do not go together.

        Raises:
            Malformed: they do not.
        """
        about_item = self.topic not in {Topic.FREEZE, Topic.UNFREEZE}
        named = bool(self.request_id) and bool(self.furnisher) and is_field_name(self.signal)
        if about_item != named or (not about_item and (self.text or self.statement)):
            raise Malformed("the rights notice: it names an item exactly when it is about one")
        if self.finding and self.topic not in {Topic.REPLY, Topic.CLOSED}:
            raise Malformed("the rights notice: a finding belongs to a reply, or to the end")
        furnishes = self.furnisher == self.receiver
        if self.topic is Topic.DISPUTE and not (self.due_at_ms and bool(self.text) == furnishes):
            raise Malformed("the rights notice: a dispute says until when, and its furnisher what")
        if self.topic is Topic.REPLY and not (self.text and self.finding):
            raise Malformed("the rights notice: a reply says what was found, in writing")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A member's answer to a notice.

    Attributes:
        refusal: empty: stored and in effect; otherwise a stable code.
        effective_at_ms: since when, or when it was refused, by the receiver's clock.
        signature: 64 bytes by the receiver's signing key.
    """

    refusal: str
    effective_at_ms: int
    signature: bytes


def verify_notice(body: bytes, signature: bytes, sender: MemberEntry, now_ms: int) -> Notice:
    """Read a notice and check that `sender` signed it.

    Raises:
        Malformed: it is none.
        SignatureInvalid: the sender did not sign it under a key it may use now.
    """
    if len(body) > MAX_NOTICE_BYTES:
        raise Malformed("a rights notice is larger than one can be")
    sender.verify(DOMAIN, body, signature, now_ms)
    return Notice.parse(body)


def acknowledge(
    body: bytes, refusal: str, effective_at_ms: int, key: SigningKey
) -> Acknowledgement:
    """Sign the answer to a notice."""
    message = _answer(body, refusal, effective_at_ms)
    return Acknowledgement(refusal, effective_at_ms, key.sign(ACKNOWLEDGEMENT_DOMAIN, message))


def verify_acknowledgement(
    given: Acknowledgement, body: bytes, receiver: MemberEntry, now_ms: int
) -> None:
    """Check that `receiver` signed this answer to this notice.

    Raises:
        SignatureInvalid: it did not.
    """
    message = _answer(body, given.refusal, given.effective_at_ms)
    receiver.verify(ACKNOWLEDGEMENT_DOMAIN, message, given.signature, now_ms)


def decimal_value(text: str) -> float:
    """A value that staff typed into a form.

    Raises:
        InvalidInput: it is no plain decimal number.
    """
    tidy = text.strip().replace(",", "")
    if not tidy or _VALUE.fullmatch(tidy) is None or not math.isfinite(float(tidy)):
        raise InvalidInput("a value is a plain number, such as 1250.5")
    return float(tidy)


def _answer(body: bytes, refusal: str, effective_at_ms: int) -> bytes:
    # Fixed lengths first, so that the refusal at the end needs no delimiter.
    return sha256(body) + effective_at_ms.to_bytes(8, "big", signed=True) + refusal.encode()


def _one_of(enum: type[Topic], name: str) -> Topic:
    try:
        return enum(name)
    except ValueError as error:
        raise Malformed("the rights notice: topic is not what it must be") from error


def _is_digest(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def _text(fields: Fields, name: str, most: int) -> str:
    value = fields.string(name, most)
    try:
        tidy = clean_text(value, most, least=0)
    except InvalidInput as error:
        raise Malformed(f"the rights notice: {name} is not what it must be") from error
    if tidy != value:
        raise Malformed(f"the rights notice: {name} is not tidy")
    return value
