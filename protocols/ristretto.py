"""The prime-order group ristretto255 (RFC 9496) over libsodium, with hashing to it (RFC 9380).

Scalars and elements are their canonical 32-byte encodings. Secret scalars are handled only by
libsodium, in constant time. An element from outside passes `element()` before anything else: it
refuses encodings that are not canonical and the identity, which would leak or erase a key.
"""

import hashlib
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from protocols.errors import InvalidInput, Malformed

Scalar = bytes
Element = bytes

SCALAR_BYTES: Final = 32
ELEMENT_BYTES: Final = 32
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
IDENTITY: Final = bytes(ELEMENT_BYTES)

_BLOCK: Final = 128  # of SHA-512


@cache
def _sodium() -> Any:
    """libsodium, loaded by the first who computes: a serving process may never do so."""
    import rbcl

    return rbcl


def element(data: bytes) -> Element:
    """Check an element that came from outside.

    Raises:
        Malformed: not 32 bytes, not a canonical encoding, or the identity.
    """
    if (
        len(data) != ELEMENT_BYTES
        or data == IDENTITY
        or not _sodium().crypto_core_ristretto255_is_valid_point(data)
    ):
        raise Malformed("not an encoding of a ristretto255 element other than the identity")
    return data


def scalar(data: bytes) -> Scalar:
    """Check a scalar that came from outside.

    Raises:
        Malformed: not 32 bytes little-endian below the group order.
    """
    if len(data) != SCALAR_BYTES or int.from_bytes(data, "little") >= ORDER:
        raise Malformed("not a ristretto255 scalar below the group order")
    return data


def scalar_of(number: int) -> Scalar:
    """The scalar of a public integer, reduced modulo the order."""
    return (number % ORDER).to_bytes(SCALAR_BYTES, "little")


def random_scalar() -> Scalar:
    """A uniform scalar other than zero, from the system's CSPRNG."""
    while True:
        candidate: bytes = _sodium().crypto_core_ristretto255_scalar_reduce(secrets.token_bytes(64))
        if candidate != bytes(SCALAR_BYTES):
            return candidate


def add_scalars(a: Scalar, b: Scalar) -> Scalar:
    """A + b."""
    result: bytes = _sodium().crypto_core_ristretto255_scalar_add(a, b)
    return result


def subtract_scalars(a: Scalar, b: Scalar) -> Scalar:
    """A - b."""
    result: bytes = _sodium().crypto_core_ristretto255_scalar_sub(a, b)
    return result


def multiply_scalars(a: Scalar, b: Scalar) -> Scalar:
    """A * b."""
    result: bytes = _sodium().crypto_core_ristretto255_scalar_mul(a, b)
    return result


def invert(a: Scalar) -> Scalar:
    """1 / a.

    Raises:
        InvalidInput: a is zero.
    """
    if a == bytes(SCALAR_BYTES):
        raise InvalidInput("zero has no inverse")
    result: bytes = _sodium().crypto_core_ristretto255_scalar_invert(a)
    return result


def invert_all(scalars: Sequence[Scalar]) -> list[Scalar]:
    """1 / a for each a, with one inversion for all (Montgomery's trick).

    Raises:
        InvalidInput: one of them is zero.
    """
    products = [scalar_of(1)]
    for a in scalars:
        products.append(multiply_scalars(products[-1], a))
    rest = invert(products[-1])
    inverses = []
    for a, before in zip(reversed(scalars), reversed(products[:-1]), strict=True):
        inverses.append(multiply_scalars(rest, before))
        rest = multiply_scalars(rest, a)
    return inverses[::-1]


def multiply(k: Scalar, point: Element) -> Element:
    """K * point; the identity when k is zero.

    `point` must have passed `element()` or come from this module.
    """
    result: bytes = _sodium().crypto_scalarmult_ristretto255_allow_scalar_zero(k, point)
    return result


def multiply_base(k: Scalar) -> Element:
    """K * G, G the group's generator."""
    result: bytes = _sodium().crypto_scalarmult_ristretto255_base_allow_scalar_zero(k)
    return result


def add(a: Element, b: Element) -> Element:
    """A + b."""
    result: bytes = _sodium().crypto_core_ristretto255_add(a, b)
    return result


def total(points: Sequence[Element]) -> Element:
    """The sum of `points`; the identity when there are none."""
    result = IDENTITY
    for point in points:
        result = add(result, point)
    return result


def weighted_sum(weights: Sequence[Scalar], points: Sequence[Element]) -> Element:
    """Sum of weight * point over both sequences, which have one length."""
    return total([multiply(k, point) for k, point in zip(weights, points, strict=True)])


def hash_to_element(message: bytes, dst: bytes) -> Element:
    """hash_to_ristretto255 with expand_message_xmd and SHA-512 (RFC 9380, appendix B)."""
    result: bytes = _sodium().crypto_core_ristretto255_from_hash(_expand_64(message, dst))
    return result


def hash_to_scalar(message: bytes, dst: bytes) -> Scalar:
    """HashToScalar of RFC 9497, section 4.1: 64 uniform bytes, little-endian, modulo the order."""
    return scalar_of(int.from_bytes(_expand_64(message, dst), "little"))


def _expand_64(message: bytes, dst: bytes) -> bytes:
    """expand_message_xmd (RFC 9380, 5.3.1) for 64 bytes, which is one block of SHA-512."""
    suffix = dst + bytes([len(dst)])
    first = hashlib.sha512(bytes(_BLOCK) + message + b"\x00\x40\x00" + suffix).digest()
    return hashlib.sha512(first + b"\x01" + suffix).digest()
