"""The entries of a key ceremony (`protocols/dkg.py`): what a trustee posts, and how it is read.

Everything here is public. A share travels only sealed to its receiver.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from protocols import ristretto, secret_sharing
from protocols.canonical import canonical_json, parse_json, sha256
from protocols.errors import CredenceError, InvalidInput, Malformed
from protocols.identifiers import check_member_id
from protocols.ristretto import Element, Scalar

Round = Literal["commitment", "deal", "verdict", "answer", "confirmation"]
ROUNDS: Final[tuple[Round, ...]] = ("commitment", "deal", "verdict", "answer", "confirmation")
MAX_ENTRY_BYTES: Final = 64 * 1024

Board = Mapping[Round, Mapping[str, bytes]]
"""Entries by round and member id; the caller has checked each entry's signature."""


@dataclass(frozen=True)
class Ceremony:
    """Who makes a key, and for which epoch. A trustee's index is its place, from 1."""

    ceremony_id: str
    epoch: int
    threshold: int
    trustees: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            InvalidInput: trustees repeat or are too many, or the threshold does not fit.
        """
        for member_id in self.trustees:
            check_member_id(member_id)
        count = len(self.trustees)
        if len(set(self.trustees)) != count or count > secret_sharing.MAX_TRUSTEES:
            raise InvalidInput(f"trustees are distinct and at most {secret_sharing.MAX_TRUSTEES}")
        if not 2 <= self.threshold <= count:
            raise InvalidInput("a threshold is at least 2 and at most the number of trustees")

    def index(self, member_id: str) -> int:
        """The trustee's index in the sharing, from 1.

        Raises:
            InvalidInput: not a trustee of this ceremony.
        """
        try:
            return self.trustees.index(member_id) + 1
        except ValueError:
            raise InvalidInput(f"{member_id} is no trustee of this ceremony") from None

    def context(self) -> bytes:
        """What every proof and seal of the ceremony is bound to."""
        value = {
            "ceremony": self.ceremony_id,
            "epoch": self.epoch,
            "threshold": self.threshold,
            "trustees": list(self.trustees),
        }
        return b"credence/1|dkg|" + sha256(canonical_json(value))


@dataclass(frozen=True)
class Opening:
    """A parsed entry of round 2."""

    commitments: tuple[Element, ...]
    proof: bytes
    sealed: dict[str, bytes]
    public_bytes: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> "Opening":
        """Read an entry of round 2.

        Raises:
            Malformed: it is not one.
        """
        value = parse_json(data, max_bytes=MAX_ENTRY_BYTES, max_depth=4)
        try:
            commitments = tuple(ristretto.element(_hex(c)) for c in value["commitments"])
            sealed = {str(member): _hex(box) for member, box in value["sealed"].items()}
            proof = _hex(value["proof"])
        except (KeyError, TypeError, AttributeError) as error:
            raise Malformed("not an opening of a key ceremony") from error
        if len(proof) != 64:
            raise Malformed("a proof of knowledge is 64 bytes")
        return cls(commitments, proof, sealed, data)


def prove_knowledge(ceremony: Ceremony, index: int, secret: Scalar, public: Element) -> bytes:
    """A Schnorr proof that the dealer knows the secret it deals, 64 bytes."""
    r = ristretto.random_scalar()
    commitment = ristretto.multiply_base(r)
    c = _knowledge_challenge(ceremony, index, public, commitment)
    return commitment + ristretto.add_scalars(r, ristretto.multiply_scalars(c, secret))


def knows(ceremony: Ceremony, index: int, opening: Opening) -> bool:
    """Whether the proof of knowledge of an opening holds."""
    try:
        commitment = ristretto.element(opening.proof[:32])
        s = ristretto.scalar(opening.proof[32:])
    except Malformed:
        return False
    public = opening.commitments[0]
    c = _knowledge_challenge(ceremony, index, public, commitment)
    return ristretto.multiply_base(s) == ristretto.add(commitment, ristretto.multiply(c, public))


def _knowledge_challenge(
    ceremony: Ceremony, index: int, public: Element, commitment: Element
) -> Scalar:
    message = ceremony.context() + index.to_bytes(2, "big") + public + commitment
    return ristretto.hash_to_scalar(message, b"credence/1|dkg-knowledge")


def verdicts(ceremony: Ceremony, board: Board) -> dict[str, set[str]]:
    """Accuser -> accused; an unreadable verdict accuses nobody."""
    found: dict[str, set[str]] = {}
    for member, data in board.get("verdict", {}).items():
        if member not in ceremony.trustees:
            continue
        try:
            value = parse_json(data, max_bytes=MAX_ENTRY_BYTES, max_depth=3)
            found[member] = {str(name) for name in value["accused"]}
        except (CredenceError, KeyError, TypeError):
            found[member] = set()
    return found


def shown_share(board: Board, dealer: str, accuser: str) -> Scalar | None:
    """The share an accused dealer showed in round 4; None when it showed none that reads."""
    data = board.get("answer", {}).get(dealer)
    if data is None:
        return None
    try:
        value: Any = parse_json(data, max_bytes=MAX_ENTRY_BYTES, max_depth=3)
        return ristretto.scalar(_hex(value["shares"][accuser]))
    except (CredenceError, KeyError, TypeError):
        return None


def _hex(value: Any) -> bytes:
    if not isinstance(value, str) or len(value) > 4096:
        raise Malformed("not a hexadecimal value")
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise Malformed("not a hexadecimal value") from error
