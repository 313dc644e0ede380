"""The cipher suites that answers are sealed with (HPKE, RFC 9180, base mode, single shot).

    1  X25519 / HKDF-SHA256 / AES-256-GCM
    2  MLKEM768-X25519 / HKDF-SHA256 / AES-256-GCM (KEM 0x647a of draft-ietf-hpke-pq): holds while
       either part of the KEM does, so that what is recorded today stays sealed

Each member's directory entry lists the suites it speaks, signed by it when it declares its keys.
The caller takes the strongest that both list; a holder refuses a weaker one. The suite number
stands in the signed body, so that nobody between can lower it. A one-use public key is its parts
side by side: ML-KEM's 1,184 bytes first, then X25519's 32.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocols.errors import CredenceError, Malformed, SignatureInvalid

X25519: Final = 1
MLKEM768_X25519: Final = 2
SUPPORTED: Final[tuple[int, ...]] = (X25519, MLKEM768_X25519)
"""Suites this software speaks, sorted; what a node declares."""

_WEAKEST_FIRST: Final = (X25519, MLKEM768_X25519)
_X25519_BYTES: Final = 32
_MLKEM_SEED_BYTES: Final = 64
_MLKEM_PUBLIC_BYTES: Final = 1184
MAX_SUITE: Final = 2**16 - 1


class SuiteUnsupported(CredenceError):
    """A cipher suite that this node does not speak, or none that both members do."""

    code = "suite_unsupported"
    category = "invalid"
    next_step = "Ask with a suite that the holder's directory entry lists, or update the node."


class SuiteDowngrade(CredenceError):
    """A weaker cipher suite than the strongest that both members speak."""

    code = "suite_downgrade"
    category = "forbidden"
    next_step = "Ask with the strongest suite that both directory entries list."


class Suite(ABC):
    """One suite: makes one-use keys, seals to one and opens with one.

    Attributes:
        number: on the wire.
        public_bytes: length of a one-use public key.
        private_bytes: length of a one-use private key.
        overhead: how much longer a sealed text is than the text, bytes.
    """

    number: ClassVar[int]
    public_bytes: ClassVar[int]
    private_bytes: ClassVar[int]
    overhead: ClassVar[int]

    @abstractmethod
    def generate(self) -> tuple[bytes, bytes]:
        """A fresh one-use key: its private and its public bytes."""

    @abstractmethod
    def seal(self, plaintext: bytes, public: bytes, info: bytes) -> bytes:
        """Seal to a one-use public key.

        Raises:
            Malformed: nothing can be sealed to this key (wrong form, low order).
        """

    @abstractmethod
    def open(self, sealed: bytes, private: bytes, info: bytes) -> bytes:
        """Open with a one-use private key.

        Raises:
            SignatureInvalid: it was not sealed to this key under this `info`.
        """


class _Classical(Suite):
    number = X25519
    public_bytes = _X25519_BYTES
    private_bytes = _X25519_BYTES
    overhead = 32 + 16
    _hpke: ClassVar = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

    def generate(self) -> tuple[bytes, bytes]:
        key = X25519PrivateKey.generate()
        return key.private_bytes_raw(), key.public_key().public_bytes_raw()

    def seal(self, plaintext: bytes, public: bytes, info: bytes) -> bytes:
        try:
            key = X25519PublicKey.from_public_bytes(public)
            return self._hpke.encrypt(plaintext, key, info=info)
        except ValueError as error:
            raise Malformed("nothing can be sealed to this one-use key") from error

    def open(self, sealed: bytes, private: bytes, info: bytes) -> bytes:
        key = X25519PrivateKey.from_private_bytes(private)
        try:
            return self._hpke.decrypt(sealed, key, info=info)
        except (InvalidTag, ValueError) as error:
            raise SignatureInvalid("the answer does not open under this one-use key") from error


class _Expanded(bytes):
    """Private bytes with the key they are of: to expand a seed costs as much as to make one."""

    key: hpke.MLKEM768X25519PrivateKey


class _Hybrid(Suite):
    number = MLKEM768_X25519
    public_bytes = _MLKEM_PUBLIC_BYTES + _X25519_BYTES
    private_bytes = _MLKEM_SEED_BYTES + _X25519_BYTES
    overhead = 1088 + 32 + 16
    _hpke: ClassVar = hpke.Suite(
        hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM
    )

    def generate(self) -> tuple[bytes, bytes]:
        lattice, curve = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
        private = _Expanded(lattice.private_bytes_raw() + curve.private_bytes_raw())
        private.key = hpke.MLKEM768X25519PrivateKey(lattice, curve)
        public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        return private, public

    def seal(self, plaintext: bytes, public: bytes, info: bytes) -> bytes:
        try:
            key = hpke.MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC_BYTES]),
                X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC_BYTES:]),
            )
            return self._hpke.encrypt(plaintext, key, info=info)
        except ValueError as error:
            raise Malformed("nothing can be sealed to this one-use key") from error

    def open(self, sealed: bytes, private: bytes, info: bytes) -> bytes:
        try:
            return self._hpke.decrypt(sealed, _expand(private), info=info)
        except (InvalidTag, ValueError) as error:
            raise SignatureInvalid("the answer does not open under this one-use key") from error


def _expand(private: bytes) -> hpke.MLKEM768X25519PrivateKey:
    if isinstance(private, _Expanded):
        return private.key
    return hpke.MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(private[:_MLKEM_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(private[_MLKEM_SEED_BYTES:]),
    )


_SUITES: Final[dict[int, Suite]] = {suite.number: suite for suite in (_Classical(), _Hybrid())}


def suite(number: int) -> Suite:
    """The suite by its number.

    Raises:
        SuiteUnsupported: this software does not speak it.
    """
    found = _SUITES.get(number)
    if found is None:
        raise SuiteUnsupported(f"cipher suite {number} is not supported")
    return found


def strongest(ours: Iterable[int], theirs: Iterable[int]) -> int:
    """The strongest suite that both members list; numbers unknown here are passed over.

    Raises:
        SuiteUnsupported: there is none.
    """
    common = set(ours) & set(theirs)
    for number in reversed(_WEAKEST_FIRST):
        if number in common:
            return number
    raise SuiteUnsupported("the two members have no cipher suite in common")


def refuse_downgrade(asked: int, ours: Iterable[int], theirs: Iterable[int]) -> None:
    """Check that `asked` is the strongest suite that both members list.

    Raises:
        SuiteUnsupported: it is not one that this software or this member speaks.
        SuiteDowngrade: both list a stronger one.
    """
    mine = tuple(ours)
    if asked not in _SUITES or asked not in mine:
        raise SuiteUnsupported(f"cipher suite {asked} is not supported")
    best = strongest(mine, {asked, *theirs})
    if best != asked:
        raise SuiteDowngrade(f"suite {asked} was asked for where both members speak {best}")


def is_suite_list(value: object) -> bool:
    """Whether `value` is what a directory entry may list: numbers, sorted, each once, not none."""
    return (
        isinstance(value, tuple | list)
        and len(value) > 0
        and all(type(one) is int and 0 < one <= MAX_SUITE for one in value)
        and list(value) == sorted(set(value))
    )
