"""X.509 values in and out of bytes; what they must say is in `protocols.certificates`."""

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from protocols.errors import InvalidInput, Malformed

MAX_CERTIFICATE_BYTES: Final = 16 * 1024
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# What `cryptography` raises while it reads a structure it cannot read.
PARSE_ERRORS: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def load_certificate(certificate: bytes) -> x509.Certificate:
    """Read a DER or PEM certificate.

    Raises:
        Malformed: too large, or not a certificate.
    """
    if len(certificate) > MAX_CERTIFICATE_BYTES:
        raise Malformed(f"a certificate is at most {MAX_CERTIFICATE_BYTES} bytes")
    try:
        if certificate.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(certificate)
        return x509.load_der_x509_certificate(certificate)
    except PARSE_ERRORS as error:
        raise Malformed("not an X.509 certificate") from error


def load_private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 private key, PKCS#8 PEM without encryption.

    Raises:
        Malformed: it is something else.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except PARSE_ERRORS as error:
        raise Malformed("not a PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Malformed("a TLS key is ECDSA on P-256")
    return key


def private_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key as PKCS#8 PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def utc(at_ms: int) -> dt.datetime:
    """UTC milliseconds since 1970 as an aware datetime.

    Raises:
        InvalidInput: outside the calendar.
    """
    try:
        return EPOCH + dt.timedelta(milliseconds=at_ms)
    except OverflowError as error:
        raise InvalidInput("a time outside the calendar") from error


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """What a key may do: a CA's signs certificates, another's signs in TLS (RFC 5280 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
