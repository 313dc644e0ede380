"""A pseudorandom function whose key is shared: t of the holders evaluate it, one input at a time.

F(k, m) = SHA-256(m, k * H(m)) with H into ristretto255 (Naor, Pinkas and Reingold 1999). A holder
with the Shamir share k_i gives k_i * H(m) and a proof that it is (DLEQ, as RFC 9497); t of them
interpolate in the exponent. Under the decisional Diffie-Hellman assumption, with H a random oracle,
values at other inputs stay pseudorandom: one dealing serves all rounds of a campaign, and opening
one round's value opens no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocols import ristretto
from protocols.canonical import sha256
from protocols.errors import InvalidInput
from protocols.oprf import PROOF_BYTES, prove, verify
from protocols.ristretto import ELEMENT_BYTES, Element, Scalar
from protocols.secret_sharing import lagrange_at_zero, verification_share

_DST: Final = b"credence/1|mask-prf|ristretto255-SHA512"


@dataclass(frozen=True)
class Partial:
    """One holder's part of the values at some inputs: elements in their order, and the proof."""

    elements: tuple[Element, ...]
    proof: bytes

    def to_bytes(self) -> bytes:
        """The elements, then the proof."""
        return b"".join(self.elements) + self.proof

    @classmethod
    def from_bytes(cls, data: bytes) -> "Partial":
        """Read it back; `check` decides whether it is any good.

        Raises:
            InvalidInput: no element, or no whole number of them.
        """
        body, proof = data[:-PROOF_BYTES], data[-PROOF_BYTES:]
        if not body or len(body) % ELEMENT_BYTES or len(proof) != PROOF_BYTES:
            raise InvalidInput("a part of a value is some elements and a proof")
        starts = range(0, len(body), ELEMENT_BYTES)
        return cls(tuple(body[at : at + ELEMENT_BYTES] for at in starts), proof)


def value(key: Scalar, message: bytes) -> bytes:
    """F(key, message), 32 bytes."""
    return _finish(message, ristretto.multiply(key, _point(message)))


def evaluate(share: Scalar, messages: Sequence[bytes]) -> Partial:
    """A holder's part of the values at `messages`, proved against its verification share."""
    points = [_point(message) for message in messages]
    elements = [ristretto.multiply(share, point) for point in points]
    proof = prove(share, ristretto.multiply_base(share), points, elements)
    return Partial(tuple(elements), proof)


def check(
    partial: Partial, messages: Sequence[bytes], commitments: Sequence[Element], index: int
) -> None:
    """Check a holder's part against the dealer's commitments.

    Raises:
        Malformed: not elements, or not one for each message.
        ProofInvalid: not made with the share that was dealt to holder `index`.
    """
    points = [_point(message) for message in messages]
    verify(verification_share(commitments, index), points, partial.elements, partial.proof)


def combine(messages: Sequence[bytes], partials: Mapping[int, Partial]) -> list[bytes]:
    """The values at `messages` from checked parts of t holders, by index.

    Raises:
        InvalidInput: a part has another length.
    """
    if any(len(partial.elements) != len(messages) for partial in partials.values()):
        raise InvalidInput("a part has another number of elements than there are inputs")
    indices = sorted(partials)
    weights = lagrange_at_zero(indices)
    return [
        _finish(
            message,
            ristretto.weighted_sum(weights, [partials[index].elements[at] for index in indices]),
        )
        for at, message in enumerate(messages)
    ]


def _point(message: bytes) -> Element:
    return ristretto.hash_to_element(message, _DST)


def _finish(message: bytes, element: Element) -> bytes:
    return sha256(b"credence/1|mask-prf|" + len(message).to_bytes(2, "big") + message + element)
