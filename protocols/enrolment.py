"""Whole batches of the threshold VOPRF, as a client and a trustee run them.

Everything here is processor time and nothing else: functions of values that pickle, so that a
caller can spread batches over processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocols import oprf, ristretto
from protocols.errors import CredenceError, InvalidInput, Malformed
from protocols.oprf import Blinded
from protocols.pseudonyms import pseudonym_of
from protocols.ristretto import ELEMENT_BYTES, Element, Scalar

MULTIPLICATIONS_PER_IDENTIFIER_AND_TRUSTEE: Final = 5
"""Evaluate and prove at the trustee; two to verify and one to combine at the client."""
MULTIPLICATIONS_PER_IDENTIFIER: Final = 1
"""Blind."""


@dataclass(frozen=True)
class Evaluated:
    """A trustee's answer for a batch.

    Attributes:
        index: the trustee's index in the sharing, from 1.
        elements: the evaluated elements, 32 bytes each, one after the other.
        proof: DLEQ, 64 bytes.
    """

    index: int
    elements: bytes
    proof: bytes


@dataclass(frozen=True)
class Finished:
    """What came of a batch.

    Attributes:
        pseudonyms: in the order of the batch; empty when an evaluation was wrong.
        wrong: indices of the trustees whose evaluation does not hold.
    """

    pseudonyms: tuple[bytes, ...]
    wrong: tuple[int, ...]


def blind_batch(inputs: Sequence[bytes]) -> list[Blinded]:
    """Blind a batch of OPRF inputs, each under a fresh scalar."""
    return [oprf.blind(data) for data in inputs]


def joined(blinded: Sequence[Blinded]) -> bytes:
    """The blinded elements of a batch as they travel."""
    return b"".join(item.element for item in blinded)


def split_elements(data: bytes) -> list[Element]:
    """Elements that came from outside, each checked.

    Raises:
        Malformed: not a whole number of 1 to `oprf.MAX_BATCH` elements, or one is none.
    """
    count, rest = divmod(len(data), ELEMENT_BYTES)
    if rest or not 1 <= count <= oprf.MAX_BATCH:
        raise Malformed(f"a batch is 1 to {oprf.MAX_BATCH} elements of {ELEMENT_BYTES} bytes")
    return [ristretto.element(item) for item in _pieces(data)]


def evaluate_batch(share: Scalar, index: int, blinded: Sequence[Element]) -> Evaluated:
    """A trustee's evaluation of elements that `split_elements` has checked, with its proof.

    Args:
        share: the trustee's share of the key.
        index: its index in the sharing.
        blinded: the client's elements.
    """
    evaluated = [ristretto.multiply(share, item) for item in blinded]
    proof = oprf.prove(share, ristretto.multiply_base(share), blinded, evaluated)
    return Evaluated(index, b"".join(evaluated), proof)


def finish_batch(
    blinded: Sequence[Blinded],
    verification_shares: Mapping[int, Element],
    evaluations: Sequence[Evaluated],
    verified: frozenset[int] = frozenset(),
) -> Finished:
    """Verify the evaluations of t trustees and combine them into pseudonyms.

    Args:
        blinded: the batch.
        verification_shares: k_i * G by trustee index.
        evaluations: of t trustees.
        verified: indices of evaluations that were verified before.

    Raises:
        InvalidInput: an evaluation of an index that has no verification share, or twice of one.
    """
    by_index = {one.index: one for one in evaluations}
    if len(by_index) != len(evaluations) or not set(by_index) <= set(verification_shares):
        raise InvalidInput("evaluations are of distinct trustees of the key")
    elements = [item.element for item in blinded]
    wrong = tuple(
        index
        for index, one in by_index.items()
        if index not in verified and not _holds(verification_shares[index], elements, one)
    )
    if wrong:
        return Finished((), wrong)
    outputs = oprf.combine(blinded, {i: _pieces(one.elements) for i, one in by_index.items()})
    return Finished(tuple(pseudonym_of(output) for output in outputs), ())


def _holds(public: Element, elements: Sequence[Element], one: Evaluated) -> bool:
    if len(one.elements) != ELEMENT_BYTES * len(elements):
        return False
    try:
        oprf.verify(public, elements, _pieces(one.elements), one.proof)
    except CredenceError:
        return False
    return True


def _pieces(data: bytes) -> list[bytes]:
    return [data[at : at + ELEMENT_BYTES] for at in range(0, len(data), ELEMENT_BYTES)]
