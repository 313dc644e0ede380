"""What a certificate says, read without believing it: its times, its key, its hash, its forms."""

import datetime as dt
import hmac

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from protocols.canonical import sha256
from protocols.x509_forms import EPOCH, load_certificate, load_private_key


def valid_from_ms(certificate: bytes) -> int:
    """The begin of a certificate's validity, UTC milliseconds.

    Raises:
        Malformed: it does not parse.
    """
    begin = load_certificate(certificate).not_valid_before_utc
    return (begin - EPOCH) // dt.timedelta(milliseconds=1)


def valid_until_ms(certificate: bytes) -> int:
    """The end of a certificate's validity, UTC milliseconds.

    Raises:
        Malformed: it does not parse.
    """
    end = load_certificate(certificate).not_valid_after_utc
    return (end - EPOCH) // dt.timedelta(milliseconds=1)


def key_fingerprint(certificate: bytes) -> bytes:
    """SHA-256 of the public key in a certificate (its SubjectPublicKeyInfo), 32 bytes.

    Raises:
        Malformed: it does not parse.
    """
    return _key_sha256(load_certificate(certificate).public_key())


def is_key_of(key_pem: bytes, certificate: bytes) -> bool:
    """Whether a private key belongs to a certificate.

    Raises:
        Malformed: one of them does not parse.
    """
    public_key = load_private_key(key_pem).public_key()
    return hmac.compare_digest(_key_sha256(public_key), key_fingerprint(certificate))


def fingerprint(certificate: bytes) -> bytes:
    """SHA-256 of the DER form, 32 bytes; takes DER or PEM.

    Raises:
        Malformed: it does not parse.
    """
    return sha256(to_der(certificate))


def to_der(certificate: bytes) -> bytes:
    """The DER form of a DER or PEM certificate.

    Raises:
        Malformed: it does not parse.
    """
    return load_certificate(certificate).public_bytes(serialization.Encoding.DER)


def to_pem(certificate: bytes) -> bytes:
    """The PEM form of a DER or PEM certificate.

    Raises:
        Malformed: it does not parse.
    """
    return load_certificate(certificate).public_bytes(serialization.Encoding.PEM)


def _key_sha256(public_key: CertificatePublicKeyTypes) -> bytes:
    return sha256(
        public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
