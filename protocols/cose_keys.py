"""Public keys of passkeys: COSE_Key (RFC 9052) in the only encoding an authenticator may use.

CTAP2 asks for canonical CBOR and WebAuthn for exactly the fields below, so a key of each algorithm
is a fixed frame around its numbers. It is read by comparing the frame: no CBOR parser stands
between a stranger's bytes and the signature check.

ES256 (-7, P-256), EdDSA (-8, Ed25519) and RS256 (-257, 2048 bits, e = 65537, as TPMs make them).
"""

from functools import lru_cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from protocols.errors import Malformed, SignatureInvalid
from protocols.keys import SIGNATURE_BYTES, VerifyKey

ALGORITHMS: Final = (-7, -8, -257)  # in the order in which they are offered

MAX_KEY_BYTES: Final = 272
MAX_SIGNATURE_BYTES: Final = 256

_ES256_X: Final = bytes.fromhex("a5010203262001215820")
_ES256_Y: Final = bytes.fromhex("225820")
_EDDSA_X: Final = bytes.fromhex("a4010103272006215820")
_RS256_N: Final = bytes.fromhex("a401030339010020590100")
_RS256_E: Final = bytes.fromhex("2143010001")
_ES256_BYTES: Final = len(_ES256_X) + 32 + len(_ES256_Y) + 32
_EDDSA_BYTES: Final = len(_EDDSA_X) + 32
_RS256_BYTES: Final = len(_RS256_N) + 256 + len(_RS256_E)


class CoseKey(Protocol):
    """A public key that can check a signature."""

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature over `message`.

        Raises:
            SignatureInvalid: it does not verify.
        """
        ...


class _Es256:
    def __init__(self, x: bytes, y: bytes) -> None:
        try:
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), b"\x04" + x + y
            )
        except ValueError as error:
            raise Malformed("a COSE key that is no point of its curve") from error

    def verify(self, message: bytes, signature: bytes) -> None:
        try:
            self._key.verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature as error:
            raise SignatureInvalid("the passkey's signature does not verify") from error


class _EdDsa:
    def __init__(self, x: bytes) -> None:
        self._key = VerifyKey(x)

    def verify(self, message: bytes, signature: bytes) -> None:
        if len(signature) != SIGNATURE_BYTES:
            raise SignatureInvalid("the passkey's signature does not verify")
        self._key.verify_raw(message, signature)


class _Rs256:
    def __init__(self, modulus: bytes) -> None:
        number = int.from_bytes(modulus, "big")
        if modulus[0] < 0x80 or number % 2 == 0:
            raise Malformed("a COSE key whose modulus has not 2048 bits")
        self._key = rsa.RSAPublicNumbers(65537, number).public_key()

    def verify(self, message: bytes, signature: bytes) -> None:
        try:
            self._key.verify(signature, message, padding.PKCS1v15(), SHA256())
        except InvalidSignature as error:
            raise SignatureInvalid("the passkey's signature does not verify") from error


@lru_cache(maxsize=1024)  # a person's key signs again and again
def parse_cose_key(data: bytes) -> CoseKey:
    """Read a COSE key.

    Raises:
        Malformed: another algorithm, another encoding, or numbers that are no key.
    """
    if len(data) == _ES256_BYTES and data.startswith(_ES256_X) and data[42:45] == _ES256_Y:
        return _Es256(data[10:42], data[45:])
    if len(data) == _EDDSA_BYTES and data.startswith(_EDDSA_X):
        return _EdDsa(data[10:])
    if len(data) == _RS256_BYTES and data.startswith(_RS256_N) and data.endswith(_RS256_E):
        return _Rs256(data[11:267])
    raise Malformed("a COSE key is ES256, EdDSA or RS256, in canonical CBOR")


def es256_key(x: bytes, y: bytes) -> bytes:
    """The COSE key of a point of P-256, coordinates of 32 bytes each."""
    return _ES256_X + x + _ES256_Y + y


def eddsa_key(x: bytes) -> bytes:
    """The COSE key of an Ed25519 public key of 32 bytes."""
    return _EDDSA_X + x


def rs256_key(modulus: bytes) -> bytes:
    """The COSE key of an RSA modulus of 256 bytes with exponent 65537."""
    return _RS256_N + modulus + _RS256_E
