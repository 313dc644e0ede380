"""Verifiable oblivious pseudorandom function (RFC 9497, VOPRF mode, ristretto255-SHA512).

A client holds an input and learns F(k, input); the holder of k learns nothing about the input,
and the client learns nothing about k. The DLEQ proof shows that the same k was used for every
element of a batch, and that it is the k of a public key.

The threshold form: k is shared (`protocols/secret_sharing.py`), every trustee i evaluates with its
share k_i and proves it against its verification share K_i = k_i * G; t evaluations combine by
Lagrange interpolation in the exponent (`combine`). The result is exactly RFC 9497's.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from protocols import ristretto
from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from protocols.ristretto import Element, Scalar
from protocols.secret_sharing import lagrange_at_zero

MODE_OPRF: Final = 0x00
MODE_VOPRF: Final = 0x01
OUTPUT_BYTES: Final = 64
PROOF_BYTES: Final = 64
MAX_BATCH: Final = 4096
MAX_INPUT_BYTES: Final = 0xFFFF


class ProofInvalid(SignatureInvalid):
    """A trustee's evaluation does not come from the share it committed to."""

    code = "evaluation_proof_invalid"
    next_step = "Leave this trustee out, ask another, and report it to the operator."


@dataclass(frozen=True)
class Blinded:
    """What a client keeps for one input until the answer comes."""

    input: bytes
    blind: Scalar
    element: Element


def context(mode: int) -> bytes:
    """The contextString of RFC 9497, section 3.1."""
    return b"OPRFV1-" + bytes([mode]) + b"-ristretto255-SHA512"


def blind(data: bytes, *, mode: int = MODE_VOPRF, scalar: Scalar | None = None) -> Blinded:
    """Blind one input (RFC 9497, section 3.3.1).

    Args:
        data: the input, at most 65,535 bytes.
        mode: the protocol mode whose context is hashed.
        scalar: the blind, for test vectors only; fresh and uniform otherwise.

    Raises:
        InvalidInput: the input is too long.
    """
    if len(data) > MAX_INPUT_BYTES:
        raise InvalidInput("an input of the OPRF is at most 65,535 bytes")
    chosen = scalar if scalar is not None else ristretto.random_scalar()
    point = ristretto.hash_to_element(data, b"HashToGroup-" + context(mode))
    return Blinded(data, chosen, ristretto.multiply(chosen, point))


def evaluate(key: Scalar, blinded: Sequence[Element]) -> list[Element]:
    """BlindEvaluate for a batch of elements that came from outside.

    Raises:
        Malformed: an element is no element, or the batch is empty or too long.
    """
    if not 1 <= len(blinded) <= MAX_BATCH:
        raise Malformed(f"a batch holds 1 to {MAX_BATCH} elements")
    return [ristretto.multiply(key, ristretto.element(item)) for item in blinded]


def prove(
    key: Scalar,
    public: Element,
    blinded: Sequence[Element],
    evaluated: Sequence[Element],
    *,
    nonce: Scalar | None = None,
) -> bytes:
    """GenerateProof (RFC 9497, section 2.2.1): log_G(public) = log_C(D) for every pair, 64 bytes.

    Args:
        key: the secret k with public = k * G and every evaluated = k * blinded.
        public: the public key or verification share.
        blinded: the elements C.
        evaluated: the elements D.
        nonce: the proof's random scalar, for test vectors only.
    """
    weights = _composite_weights(public, blinded, evaluated)
    m = ristretto.weighted_sum(weights, blinded)
    z = ristretto.multiply(key, m)
    r = nonce if nonce is not None else ristretto.random_scalar()
    c = _challenge(public, m, z, ristretto.multiply_base(r), ristretto.multiply(r, m))
    return c + ristretto.subtract_scalars(r, ristretto.multiply_scalars(c, key))


def verify(
    public: Element, blinded: Sequence[Element], evaluated: Sequence[Element], proof: bytes
) -> None:
    """VerifyProof (RFC 9497, section 2.2.2).

    Raises:
        Malformed: something is not an element or a proof, or the lengths differ.
        ProofInvalid: the proof does not verify.
    """
    if len(blinded) != len(evaluated) or not 1 <= len(blinded) <= MAX_BATCH:
        raise Malformed("an evaluation has one element for each that was sent")
    if len(proof) != PROOF_BYTES:
        raise Malformed("a DLEQ proof is 64 bytes")
    c, s = ristretto.scalar(proof[:32]), ristretto.scalar(proof[32:])
    for item in evaluated:
        ristretto.element(item)
    weights = _composite_weights(public, blinded, evaluated)
    m = ristretto.weighted_sum(weights, blinded)
    z = ristretto.weighted_sum(weights, evaluated)
    t2 = ristretto.add(ristretto.multiply_base(s), ristretto.multiply(c, public))
    t3 = ristretto.add(ristretto.multiply(s, m), ristretto.multiply(c, z))
    if _challenge(public, m, z, t2, t3) != c:
        raise ProofInvalid("an evaluation does not match the trustee's verification share")


def finalize(blinded: Blinded, evaluated: Element) -> bytes:
    """Finalize (RFC 9497, section 3.3.1): the function's output, 64 bytes."""
    return _output(blinded.input, ristretto.multiply(ristretto.invert(blinded.blind), evaluated))


def combine(
    blinded: Sequence[Blinded], evaluations: Mapping[int, Sequence[Element]]
) -> list[bytes]:
    """Finalize a batch from the verified evaluations of t trustees, by trustee index (from 1).

    Unblinding is folded into the interpolation: one multiplication a trustee and element.

    Raises:
        InvalidInput: an evaluation's length is not the batch's.
    """
    indices = sorted(evaluations)
    if any(len(evaluations[index]) != len(blinded) for index in indices):
        raise InvalidInput("an evaluation's length is not the batch's")
    coefficients = lagrange_at_zero(indices)
    outputs = []
    inverses = ristretto.invert_all([item.blind for item in blinded])
    for position, (item, unblind) in enumerate(zip(blinded, inverses, strict=True)):
        weights = [ristretto.multiply_scalars(unblind, c) for c in coefficients]
        points = [evaluations[index][position] for index in indices]
        outputs.append(_output(item.input, ristretto.weighted_sum(weights, points)))
    return outputs


def _output(data: bytes, unblinded: Element) -> bytes:
    return hashlib.sha512(_sized(data) + _sized(unblinded) + b"Finalize").digest()


def _composite_weights(
    public: Element, blinded: Sequence[Element], evaluated: Sequence[Element]
) -> list[Scalar]:
    """The d_i of ComputeComposites (RFC 9497, section 2.2.1)."""
    seed_dst = b"Seed-" + context(MODE_VOPRF)
    seed = hashlib.sha512(_sized(public) + _sized(seed_dst)).digest()
    dst = b"HashToScalar-" + context(MODE_VOPRF)
    head = _sized(seed)
    return [
        ristretto.hash_to_scalar(
            head + index.to_bytes(2, "big") + _sized(c) + _sized(d) + b"Composite", dst
        )
        for index, (c, d) in enumerate(zip(blinded, evaluated, strict=True))
    ]


def _challenge(public: Element, m: Element, z: Element, t2: Element, t3: Element) -> Scalar:
    transcript = b"".join(_sized(item) for item in (public, m, z, t2, t3)) + b"Challenge"
    return ristretto.hash_to_scalar(transcript, b"HashToScalar-" + context(MODE_VOPRF))


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
