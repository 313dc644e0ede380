"""Keys of a member: Ed25519 for signatures (RFC 8032), X25519 for pairwise secrets (RFC 7748).

Every signature names its domain, so that bytes signed for one use mean nothing in another:
what is signed is `credence/1|<domain>|<message>`. A domain holds no `|`.
"""

import re
from collections.abc import Sequence
from typing import Final, Self

import nacl.bindings
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl.exceptions import CryptoError

from protocols.canonical import sha256
from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from protocols.identifiers import check_member_id

SIGNATURE_BYTES: Final = 64
KEY_BYTES: Final = 32

_DOMAIN: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")


def _signed_bytes(domain: str, message: bytes) -> bytes:
    if _DOMAIN.fullmatch(domain) is None:
        raise InvalidInput("a signature domain is lower-case letters, digits and hyphens")
    return b"credence/1|" + domain.encode() + b"|" + message


class VerifyKey:
    """An Ed25519 public key, 32 bytes; equal and hashable by value."""

    __slots__ = ("bytes",)

    def __init__(self, data: bytes) -> None:
        """Hold the raw 32 bytes of RFC 8032.

        Raises:
            Malformed: not 32 bytes.
        """
        if len(data) != KEY_BYTES:
            raise Malformed("an Ed25519 public key is 32 bytes")
        self.bytes: Final = bytes(data)

    @property
    def key_id(self) -> str:
        """First 16 hex digits of SHA-256 of the key."""
        return sha256(self.bytes).hex()[:16]

    def verify(self, domain: str, message: bytes, signature: bytes) -> None:
        """Check a signature made by `SigningKey.sign` with the same domain.

        Raises:
            SignatureInvalid: it does not verify.
        """
        self.verify_raw(_signed_bytes(domain, message), signature)

    def verify_raw(self, message: bytes, signature: bytes) -> None:
        """Check a bare RFC 8032 signature; only for formats with a framing of their own (JWS).

        Raises:
            SignatureInvalid: it does not verify, or the key has low order.
        """
        if len(signature) != SIGNATURE_BYTES:
            raise SignatureInvalid("an Ed25519 signature is 64 bytes")
        try:
            nacl.bindings.crypto_sign_open(signature + message, self.bytes)
        except CryptoError as error:
            raise SignatureInvalid("the signature does not verify") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyKey) and other.bytes == self.bytes

    def __hash__(self) -> int:
        return hash(self.bytes)

    def __repr__(self) -> str:
        return f"VerifyKey({self.key_id})"


def verify_any(keys: Sequence[VerifyKey], domain: str, message: bytes, signature: bytes) -> None:
    """Check a signature made under one of several keys of one signer.

    Raises:
        SignatureInvalid: it verifies under none of them.
    """
    for key in keys:
        try:
            return key.verify(domain, message, signature)
        except SignatureInvalid:
            continue
    raise SignatureInvalid("the signature does not verify")


class SigningKey:
    """An Ed25519 private key. Its seed never appears in a repr."""

    __slots__ = ("_secret", "seed", "verify_key")

    def __init__(self, seed: bytes) -> None:
        """Derive the pair from a 32-byte seed.

        Raises:
            Malformed: not 32 bytes.
        """
        if len(seed) != KEY_BYTES:
            raise Malformed("an Ed25519 seed is 32 bytes")
        public, self._secret = nacl.bindings.crypto_sign_seed_keypair(bytes(seed))
        self.seed: Final = bytes(seed)
        self.verify_key: Final = VerifyKey(public)

    @classmethod
    def generate(cls) -> Self:
        """A fresh key from the system's random source."""
        return cls(nacl.bindings.randombytes(KEY_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key of a kept seed."""
        return cls(seed)

    def sign(self, domain: str, message: bytes) -> bytes:
        """64-byte signature over `credence/1|<domain>|<message>`."""
        return self.sign_raw(_signed_bytes(domain, message))

    def sign_raw(self, message: bytes) -> bytes:
        """Bare RFC 8032 signature; only for formats with a framing of their own (JWS)."""
        return nacl.bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey({self.verify_key.key_id})"


class SealingKey:
    """An X25519 key pair. The private half never appears in a repr."""

    __slots__ = ("private", "public")

    def __init__(self, private: bytes) -> None:
        """Hold a 32-byte private key and derive its public half.

        Raises:
            Malformed: not 32 bytes.
        """
        if len(private) != KEY_BYTES:
            raise Malformed("an X25519 private key is 32 bytes")
        self.private: Final = bytes(private)
        self.public: Final = nacl.bindings.crypto_scalarmult_base(self.private)

    @classmethod
    def generate(cls) -> Self:
        """A fresh key from the system's random source."""
        return cls(nacl.bindings.randombytes(KEY_BYTES))

    @classmethod
    def from_bytes(cls, private: bytes) -> Self:
        """The pair of a kept private key."""
        return cls(private)

    def __repr__(self) -> str:
        return f"SealingKey({sha256(self.public).hex()[:16]})"


def pair_key(own: SealingKey, peer_public: bytes, *, low: str, high: str, epoch: int) -> bytes:
    """The secret two members share for one epoch; both compute the same without a message.

    HKDF-SHA256 (RFC 5869) over the X25519 secret; `info` names both members, both public keys
    and the epoch, so that no other pair, key or epoch gives the same bytes.

    Args:
        own: this member's sealing key.
        peer_public: the other's 32-byte public sealing key, from the directory.
        low: the member id that sorts first.
        high: the other one.
        epoch: epoch number of the directory, from 0.

    Returns:
        32 bytes.

    Raises:
        InvalidInput: the ids are equal, out of order or not member ids, or the epoch is negative.
        Malformed: the peer's key is not a key of the curve's large group.
    """
    if check_member_id(low) >= check_member_id(high):
        raise InvalidInput("a pair key is between two members, lower id first")
    if epoch < 0:
        raise InvalidInput("an epoch counts from 0")
    if len(peer_public) != KEY_BYTES:
        raise Malformed("an X25519 public key is 32 bytes")
    try:
        shared = nacl.bindings.crypto_scalarmult(own.private, bytes(peer_public))
    except CryptoError as error:  # the all-zero secret of RFC 7748 section 6.1
        raise Malformed("the peer's X25519 key has low order") from error
    publics = b"".join(sorted((own.public, bytes(peer_public))))
    info = f"credence/1|pair|{low}|{high}|{epoch}|".encode() + publics
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(shared)
