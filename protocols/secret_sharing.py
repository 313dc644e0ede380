"""Shamir's secret sharing over the scalars of ristretto255, with Feldman's commitments.

A polynomial f of degree t - 1 with f(0) = secret; trustee i (from 1) holds f(i). Any t shares
give the secret or, in the exponent, its multiple of a point; fewer give nothing. Commitments
C_k = a_k * G to the coefficients let everybody check a share, and compute anybody's verification
share, without learning either. (Shamir 1979; Feldman 1987.)
"""

from collections.abc import Sequence
from typing import Final

from protocols import ristretto
from protocols.errors import InvalidInput
from protocols.ristretto import Element, Scalar

MAX_TRUSTEES: Final = 64

Polynomial = list[Scalar]


def random_polynomial(threshold: int) -> Polynomial:
    """Coefficients of a uniform polynomial of degree threshold - 1, constant term first."""
    if not 1 <= threshold <= MAX_TRUSTEES:
        raise InvalidInput(f"a threshold is 1 to {MAX_TRUSTEES}")
    return [ristretto.random_scalar() for _ in range(threshold)]


def evaluate_polynomial(polynomial: Polynomial, index: int) -> Scalar:
    """f(index) by Horner's rule; the share of trustee `index`."""
    _checked_index(index)
    x = ristretto.scalar_of(index)
    result = ristretto.scalar_of(0)
    for coefficient in reversed(polynomial):
        result = ristretto.add_scalars(ristretto.multiply_scalars(result, x), coefficient)
    return result


def commit(polynomial: Polynomial) -> list[Element]:
    """Feldman's commitments C_k = a_k * G, one a coefficient."""
    return [ristretto.multiply_base(coefficient) for coefficient in polynomial]


def verification_share(commitments: Sequence[Element], index: int) -> Element:
    """f(index) * G from the commitments."""
    _checked_index(index)
    result = ristretto.IDENTITY
    x = ristretto.scalar_of(index)
    for commitment in reversed(commitments):
        result = ristretto.add(ristretto.multiply(x, result), commitment)
    return result


def share_matches(share: Scalar, commitments: Sequence[Element], index: int) -> bool:
    """Whether `share` is f(index) for the committed f."""
    return ristretto.multiply_base(share) == verification_share(commitments, index)


def lagrange_at_zero(indices: Sequence[int]) -> list[Scalar]:
    """Coefficients l_i with f(0) = sum l_i * f(i), for distinct public indices from 1.

    Raises:
        InvalidInput: an index is repeated or out of range.
    """
    if len(set(indices)) != len(indices) or not indices:
        raise InvalidInput("trustee indices are distinct and not empty")
    coefficients = []
    for i in indices:
        _checked_index(i)
        numerator = denominator = 1
        for j in indices:
            if j != i:
                numerator = numerator * j % ristretto.ORDER
                denominator = denominator * (j - i) % ristretto.ORDER
        coefficients.append(ristretto.scalar_of(numerator * pow(denominator, -1, ristretto.ORDER)))
    return coefficients


def recover(shares: dict[int, Scalar]) -> Scalar:
    """f(0) from t shares by index; with fewer than t the result is unrelated to the secret."""
    indices = sorted(shares)
    result = ristretto.scalar_of(0)
    for index, weight in zip(indices, lagrange_at_zero(indices), strict=True):
        result = ristretto.add_scalars(result, ristretto.multiply_scalars(weight, shares[index]))
    return result


def _checked_index(index: int) -> None:
    if not 1 <= index <= MAX_TRUSTEES:
        raise InvalidInput(f"a trustee index is 1 to {MAX_TRUSTEES}")
