"""What a key ceremony begins with and ends in, as signed documents, and who vouches for what.

The *plan* (kind `ceremony-plan`) is the coordinator's announcement: ceremony id, epoch, threshold,
trustees. The *result* (kind `ceremony`) is the pseudonym key: public key, one verification share a
trustee, and the signatures with which the trustees confirmed exactly these. So the coordinator,
which signs both documents, cannot make a key up: at least a threshold of trustees, one of them
honest, would have to sign for it.

Every entry on the board is signed by its trustee over the ceremony's context, the round, the
trustee's name and the body; it means nothing anywhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from protocols import ristretto
from protocols.canonical import canonical_json
from protocols.directory import Directory
from protocols.dkg import Judgement, confirmation_body
from protocols.dkg_entries import MAX_ENTRY_BYTES, ROUNDS, Ceremony, Round
from protocols.documents import Document, verify_document
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.identifiers import is_record_id
from protocols.keys import SIGNATURE_BYTES, SigningKey, VerifyKey, verify_any
from protocols.ristretto import Element

PLAN_KIND: Final = "ceremony-plan"
KEY_KIND: Final = "ceremony"
DOMAIN: Final = "dkg"
MAX_EPOCH: Final = 2**31 - 1

_PLAN_FIELDS: Final = {"ceremony", "epoch", "threshold", "trustees"}
_KEY_FIELDS: Final = _PLAN_FIELDS | {
    "version", "public_key", "verification_shares", "transcript", "confirmations",
}  # fmt: skip


class KeyUnconfirmed(SignatureInvalid):
    """Too few trustees signed for a pseudonym key: nobody has to believe it."""

    code = "key_unconfirmed"
    next_step = "Do not use this key; compare the board's entries with the trustees."


class KeyRollback(CredenceError):
    """A pseudonym key older than the one held, or another one under the same version."""

    code = "key_rollback"
    category = "conflict"
    next_step = "Report this to the operator: an old or forked pseudonym key is being served."


@dataclass(frozen=True)
class PseudonymKey:
    """The public side of one epoch's key.

    Attributes:
        version: of the document, counts up from 1.
        ceremony: how it was made.
        public_key: k * G.
        verification_shares: k_i * G of every qualified trustee.
        transcript: hash of the ceremony's rounds 1 to 4, 32 bytes.
        confirmations: trustee -> its signature of round 5, 64 bytes.
    """

    version: int
    ceremony: Ceremony
    public_key: Element
    verification_shares: dict[str, Element]
    transcript: bytes
    confirmations: dict[str, bytes]

    @property
    def epoch(self) -> int:
        """The key's epoch, from 1."""
        return self.ceremony.epoch

    @property
    def threshold(self) -> int:
        """How many trustees an evaluation needs."""
        return self.ceremony.threshold

    @property
    def trustees(self) -> tuple[str, ...]:
        """The trustees that hold a share, in the order of their indices."""
        return tuple(name for name in self.ceremony.trustees if name in self.verification_shares)

    def index(self, member_id: str) -> int:
        """A trustee's index in the sharing."""
        return self.ceremony.index(member_id)

    def to_body(self) -> bytes:
        """RFC 8785 canonical JSON, to be signed as a document of kind `ceremony`."""
        return canonical_json({
            **_plan_value(self.ceremony),
            "version": self.version,
            "public_key": self.public_key.hex(),
            "verification_shares": _hexed(self.verification_shares),
            "transcript": self.transcript.hex(),
            "confirmations": _hexed(self.confirmations),
        })  # fmt: skip

    @classmethod
    def from_parsed(cls, value: dict[str, Any]) -> Self:
        """Read a key back; nothing of it is verified but its form.

        Raises:
            Malformed: a field is missing, unknown or of the wrong form.
        """
        if set(value) != _KEY_FIELDS or type(value["version"]) is not int or value["version"] < 1:
            raise Malformed("a pseudonym key with other fields than it must have")
        ceremony = _ceremony(value)
        shares = {n: ristretto.element(s) for n, s in _bytes_map(value, "verification_shares", 32)}
        confirmations = dict(_bytes_map(value, "confirmations", SIGNATURE_BYTES))
        if not set(shares) | set(confirmations) <= set(ceremony.trustees):
            raise Malformed("a pseudonym key with a share of somebody who is no trustee")
        if len(shares) < ceremony.threshold:
            raise Malformed("a pseudonym key with fewer shares than its threshold")
        return cls(
            version=value["version"],
            ceremony=ceremony,
            public_key=ristretto.element(_from_hex(value["public_key"], 32)),
            verification_shares=shares,
            transcript=_from_hex(value["transcript"], 32),
            confirmations=confirmations,
        )


def plan_body(ceremony: Ceremony) -> bytes:
    """The body of the document that announces a ceremony."""
    return canonical_json(_plan_value(ceremony))


def read_plan(document: Document, key: VerifyKey) -> Ceremony:
    """Verify an announcement.

    Raises:
        SignatureInvalid, Malformed: it is not the coordinator's, or not one.
    """
    parsed = verify_document(document, key, PLAN_KIND)
    if set(parsed) != _PLAN_FIELDS:
        raise Malformed("an announcement with other fields than it must have")
    return _ceremony(parsed)


def sign_entry(
    ceremony: Ceremony, round_: Round, member_id: str, body: bytes, key: SigningKey
) -> bytes:
    """A trustee's signature of its own entry on the board."""
    return key.sign(DOMAIN, _signed(ceremony, round_, member_id, body))


def verify_entry(
    ceremony: Ceremony,
    round_: Round,
    member_id: str,
    body: bytes,
    signature: bytes,
    keys: Sequence[VerifyKey],
) -> None:
    """Check an entry that somebody says `member_id` posted, under the keys it may sign with.

    Raises:
        InvalidInput: the member is no trustee of the ceremony.
        Malformed: the entry is empty or too large.
        SignatureInvalid: it is not the member's, or of another ceremony or round.
    """
    ceremony.index(member_id)
    if not 0 < len(body) <= MAX_ENTRY_BYTES:
        raise Malformed(f"an entry has 1 to {MAX_ENTRY_BYTES} bytes")
    verify_any(keys, DOMAIN, _signed(ceremony, round_, member_id, body), signature)


def check_round(text: str) -> Round:
    """Return `text` when it names a round.

    Raises:
        InvalidInput: it does not.
    """
    if text not in ROUNDS:
        raise InvalidInput(f"a round is one of {', '.join(ROUNDS)}")
    return text


def make_key(
    version: int, ceremony: Ceremony, judgement: Judgement, signatures: Mapping[str, bytes]
) -> PseudonymKey:
    """The result of a ceremony that `protocols.dkg.settle` found in order.

    Args:
        version: of the document.
        ceremony: what was agreed on.
        judgement: of the public entries.
        signatures: of the entries of round 5, by trustee.
    """
    shares = {name: judgement.verification_shares[name] for name in judgement.qualified}
    return PseudonymKey(
        version=version,
        ceremony=ceremony,
        public_key=judgement.public_key,
        verification_shares=shares,
        transcript=judgement.transcript,
        confirmations={name: signatures[name] for name in judgement.qualified},
    )


def accept_key(
    held: Document | None, document: Document, key: VerifyKey, directory: Directory
) -> PseudonymKey:
    """Verify a pseudonym key and decide whether to hold it.

    Checks: 1. the document verifies under the pinned directory key; 2. its body is a key; 3. its
    version does not take back the one held, and one version has one body; 4. an epoch above that
    of the version before; 5. at least a threshold of its trustees signed exactly this public key,
    these verification shares and this transcript, with keys that the directory
    lists for them.

    Raises:
        SignatureInvalid, Malformed: 1 or 2.
        KeyRollback: 3 or 4.
        KeyUnconfirmed: 5.
    """
    offered = PseudonymKey.from_parsed(verify_document(document, key, KEY_KIND))  # 1, 2
    if held is not None:
        current = PseudonymKey.from_parsed(verify_document(held, key, KEY_KIND))
        if document.version == held.version and document.body == held.body:
            return offered
        if document.version <= held.version:  # 3
            raise KeyRollback(f"pseudonym key {document.version} against {held.version}, held here")
        if offered.epoch <= current.epoch:  # 4
            raise KeyRollback("a newer pseudonym key of an older epoch")
    body = confirmation_body(offered.public_key, offered.verification_shares, offered.transcript)
    vouched = sum(
        _vouches(offered.ceremony, name, body, signature, directory)
        for name, signature in offered.confirmations.items()
    )
    if vouched < offered.threshold:  # 5
        raise KeyUnconfirmed(f"{vouched} trustees signed and {offered.threshold} are needed")
    return offered


def _vouches(
    ceremony: Ceremony, name: str, body: bytes, signature: bytes, directory: Directory
) -> bool:
    try:
        member = directory.member(name)
        # A confirmation outlives the key that signed it.
        keys = (member.verify_key, *(one.verify_key for one in member.earlier_keys))
        verify_entry(ceremony, "confirmation", name, body, signature, keys)
    except CredenceError:
        return False
    return True


def _signed(ceremony: Ceremony, round_: Round, member_id: str, body: bytes) -> bytes:
    return ceremony.context() + f"|{round_}|{member_id}|".encode() + body


def _plan_value(ceremony: Ceremony) -> dict[str, Any]:
    return {
        "ceremony": ceremony.ceremony_id,
        "epoch": ceremony.epoch,
        "threshold": ceremony.threshold,
        "trustees": list(ceremony.trustees),
    }


def _ceremony(value: dict[str, Any]) -> Ceremony:
    named, trustees = value["ceremony"], value["trustees"]
    if (
        not isinstance(named, str)
        or not is_record_id(named)
        or not isinstance(trustees, list)
        or not all(isinstance(name, str) for name in trustees)
        or not all(type(value[name]) is int for name in ("epoch", "threshold"))
        or not 1 <= value["epoch"] <= MAX_EPOCH
    ):
        raise Malformed("a ceremony with a field of the wrong form")
    try:
        return Ceremony(named, value["epoch"], value["threshold"], tuple(trustees))
    except InvalidInput as error:
        raise Malformed("a ceremony with a field of the wrong form") from error


def _hexed(values: Mapping[str, bytes]) -> dict[str, str]:
    return {name: data.hex() for name, data in values.items()}


def _bytes_map(value: dict[str, Any], field: str, length: int) -> list[tuple[str, bytes]]:
    found = value[field]
    if not isinstance(found, dict):
        raise Malformed(f"{field} is an object of hexadecimal values")
    return [(str(name), _from_hex(data, length)) for name, data in found.items()]


def _from_hex(value: Any, length: int) -> bytes:
    if not isinstance(value, str) or len(value) != 2 * length:
        raise Malformed("a hexadecimal value of the wrong length")
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise Malformed("not a hexadecimal value") from error
