"""X.509 for mutual TLS inside one network: a private CA, short-lived P-256 certificates.

A member's certificate (RFC 5280) names it twice in its subjectAltName and nowhere else that
counts: DNS `<member_id>.members.credence`, which gRPC compares, and URI
`credence://member/<member_id>`, which a server reads. It carries serverAuth and clientAuth,
because a node both asks and answers. The CA signs end certificates only (path length 0).

A node makes its key and its CSR itself; the CA takes from the CSR nothing but the public key,
after it has checked the rest word for word.
"""

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocols.canonical import sha256
from protocols.certificate_facts import fingerprint, to_der, to_pem, valid_until_ms
from protocols.errors import CredenceError, InvalidInput
from protocols.identifiers import check_member_id, check_role, is_member_id
from protocols.x509_forms import (
    MAX_CERTIFICATE_BYTES,
    PARSE_ERRORS,
    key_usage,
    load_certificate,
    load_private_key,
    private_key_pem,
    utc,
)

__all__ = [
    "COORDINATOR_DNS",
    "CertificateRefused",
    "create_ca",
    "fingerprint",
    "issue_certificate",
    "issue_server_certificate",
    "make_csr",
    "make_tls_key",
    "member_dns",
    "member_id_of",
    "member_uri",
    "to_der",
    "to_pem",
    "valid_until_ms",
    "verify_ca",
    "verify_member_certificate",
]

COORDINATOR_DNS: Final = "coordinator.credence"
BACKDATING_MS: Final = 5 * 60_000  # a peer whose clock is behind accepts a fresh certificate

_DNS_SUFFIX: Final = ".members.credence"
_URI_PREFIX: Final = "credence://member/"


class CertificateRefused(CredenceError):
    """A certificate or a CSR does not say exactly what it must, or is not signed as it must be."""

    code = "certificate_refused"
    category = "unauthenticated"
    next_step = "Join again with a new invitation, or check whose certificate this is."


def member_dns(member_id: str) -> str:
    """The DNS name in a member's certificate, also the TLS target name to expect."""
    return check_member_id(member_id) + _DNS_SUFFIX


def member_uri(member_id: str) -> str:
    """The URI in a member's certificate."""
    return _URI_PREFIX + check_member_id(member_id)


def create_ca(name: str, now_ms: int, days: int) -> tuple[bytes, bytes]:
    """A new self-signed CA, P-256.

    Args:
        name: common name, up to 64 characters.
        now_ms: UTC milliseconds.
        days: validity from now.

    Returns:
        Private key (PKCS#8 PEM, not encrypted: keep it in the keystore) and certificate (PEM).

    Raises:
        InvalidInput: the name or the days do not fit a certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    except ValueError as error:
        raise InvalidInput("a CA's name is 1 to 64 characters") from error
    builder = _builder(subject, subject, key.public_key(), key.public_key(), now_ms)
    certificate = (
        builder.not_valid_after(_end(now_ms, days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return private_key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def make_tls_key() -> bytes:
    """A fresh P-256 private key for TLS, PKCS#8 PEM, not encrypted: keep it in the keystore."""
    return private_key_pem(ec.generate_private_key(ec.SECP256R1()))


def make_csr(key_pem: bytes, member_id: str) -> bytes:
    """A signing request (PKCS#10, RFC 2986) for a member's certificate, DER.

    Raises:
        InvalidInput: not a member id.
        Malformed: not a P-256 private key.
    """
    names = _member_names(member_id)
    builder = x509.CertificateSigningRequestBuilder(
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member_id)])
    ).add_extension(names, critical=False)
    request = builder.sign(load_private_key(key_pem), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def issue_certificate(
    ca_key_pem: bytes,
    ca_cert_pem: bytes,
    csr_der: bytes,
    member_id: str,
    role: str,
    now_ms: int,
    days: int,
) -> bytes:
    """Certify a member's TLS key.

    Checks on the CSR: 1. size and form; 2. its own signature, with SHA-256; 3. the key is P-256;
    4. the subject is exactly the member id; 5. it asks for exactly one extension, the
    subjectAltName with exactly the member's DNS name and URI.

    Args:
        ca_key_pem: the CA's private key.
        ca_cert_pem: the CA's certificate.
        csr_der: as received from the node.
        member_id: whom the invitation admits.
        role: the member's role, kept as organisational unit.
        now_ms: UTC milliseconds.
        days: validity from now; no certificate outlives its CA.

    Returns:
        The certificate, DER.

    Raises:
        CertificateRefused: a check fails.
        InvalidInput: member id, role or days are not what they must be.
        Malformed: the CA's key or certificate does not parse.
    """
    names = _member_names(member_id)
    public_key = _check_csr(csr_der, member_id, names)
    subject = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, check_role(role)),
        x509.NameAttribute(NameOID.COMMON_NAME, member_id),
    ])  # fmt: skip
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _issue(ca_key_pem, ca_cert_pem, public_key, subject, names, usages, now_ms, days)


def issue_server_certificate(
    ca_key_pem: bytes, ca_cert_pem: bytes, key_pem: bytes, now_ms: int, days: int
) -> bytes:
    """Certify the coordinator's own TLS key for DNS `coordinator.credence`, serverAuth only.

    Returns:
        The certificate, DER.

    Raises:
        InvalidInput: the days do not fit a certificate.
        Malformed: a key or the CA's certificate does not parse.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COORDINATOR_DNS)])
    names = x509.SubjectAlternativeName([x509.DNSName(COORDINATOR_DNS)])
    public_key = load_private_key(key_pem).public_key()
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    return _issue(ca_key_pem, ca_cert_pem, public_key, subject, names, usages, now_ms, days)


def verify_member_certificate(
    certificate: bytes, ca_cert_pem: bytes, *, now_ms: int, key_pem: bytes | None = None
) -> str:
    """Verify a member's certificate against the network's CA and return its member id.

    Checks: 1. signed by this CA; 2. valid now; 3. an end certificate, not a CA; 4. for server and
    client authentication; 5. P-256; 6. names exactly one member; 7. with `key_pem`, for that key.

    Raises:
        CertificateRefused: a check fails.
        Malformed: something does not parse.
    """
    parsed, authority = load_certificate(certificate), load_certificate(ca_cert_pem)
    # 1. Issuer and signature.
    try:
        parsed.verify_directly_issued_by(authority)
    except (InvalidSignature, *PARSE_ERRORS) as error:
        raise CertificateRefused("the certificate is not signed by this network's CA") from error
    # 2. Validity.
    if not parsed.not_valid_before_utc <= utc(now_ms) <= parsed.not_valid_after_utc:
        raise CertificateRefused("the certificate is not valid at this time")
    try:
        # 3. End certificate.
        if parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise CertificateRefused("a CA certificate where a member's was expected")
        # 4. Use.
        usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, *PARSE_ERRORS) as error:
        raise CertificateRefused("the certificate lacks the extensions it must have") from error
    if set(usage) != {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}:
        raise CertificateRefused("the certificate is not for server and client authentication")
    # 5. Key type.
    public_key = _p256_key(parsed)
    # 6. Names.
    member_id = _member_of(parsed)
    # 7. Key.
    if key_pem is not None and public_key != load_private_key(key_pem).public_key():
        raise CertificateRefused("the certificate is for another key than this node's")
    return member_id


def verify_ca(certificate: bytes, sha256_pin: bytes, *, now_ms: int) -> bytes:
    """Check a CA certificate against the fingerprint an invitation pins, and return it as PEM.

    Raises:
        CertificateRefused: another certificate, not a CA, or not valid now.
        Malformed: it does not parse.
    """
    parsed = load_certificate(certificate)
    if sha256(parsed.public_bytes(serialization.Encoding.DER)) != sha256_pin:
        raise CertificateRefused("the CA certificate is not the one the invitation names")
    if not parsed.not_valid_before_utc <= utc(now_ms) <= parsed.not_valid_after_utc:
        raise CertificateRefused("the CA certificate is not valid at this time")
    try:
        constraints = parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, *PARSE_ERRORS) as error:
        raise CertificateRefused("the certificate is not a CA's") from error
    if not constraints.ca:
        raise CertificateRefused("the certificate is not a CA's")
    return parsed.public_bytes(serialization.Encoding.PEM)


def member_id_of(certificate: bytes) -> str:
    """The member a certificate names; whether it is genuine is TLS's or `verify_...`'s to say.

    Args:
        certificate: DER or PEM.

    Raises:
        CertificateRefused: it does not name exactly one member.
        Malformed: it does not parse.
    """
    return _member_of(load_certificate(certificate))


def _issue(
    ca_key_pem: bytes,
    ca_cert_pem: bytes,
    public_key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    names: x509.SubjectAlternativeName,
    usages: list[x509.ObjectIdentifier],
    now_ms: int,
    days: int,
) -> bytes:
    ca_key, ca_certificate = load_private_key(ca_key_pem), load_certificate(ca_cert_pem)
    if ca_certificate.public_key() != ca_key.public_key():
        raise InvalidInput("the CA's key and certificate do not belong together")
    builder = _builder(subject, ca_certificate.subject, public_key, ca_key.public_key(), now_ms)
    if ca_certificate.not_valid_after_utc <= utc(now_ms):
        raise InvalidInput("the CA's certificate has expired")
    # No certificate outlives its CA: it would fail on another day than it says.
    end = min(_end(now_ms, days), ca_certificate.not_valid_after_utc)
    certificate = (
        builder.not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(names, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.DER)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    now_ms: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc(now_ms - BACKDATING_MS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _end(now_ms: int, days: int) -> dt.datetime:
    if not 1 <= days <= 3650:
        raise InvalidInput("a certificate is valid for 1 to 3650 days")
    return utc(now_ms + days * 86_400_000)


def _check_csr(
    csr_der: bytes, member_id: str, names: x509.SubjectAlternativeName
) -> ec.EllipticCurvePublicKey:
    # 1. Size and form.
    if len(csr_der) > MAX_CERTIFICATE_BYTES:
        raise CertificateRefused("the CSR is too large")
    try:
        request = x509.load_der_x509_csr(csr_der)
        # 2. Signature.
        signed = request.is_signature_valid and isinstance(
            request.signature_hash_algorithm, hashes.SHA256
        )
        subject, extensions = request.subject, list(request.extensions)
    except PARSE_ERRORS as error:
        raise CertificateRefused("the CSR does not parse") from error
    if not signed:
        raise CertificateRefused("the CSR is not signed by its own key with SHA-256")
    # 3. Key type.
    public_key = _p256_key(request)
    # 4. Subject.
    if subject != x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member_id)]):
        raise CertificateRefused("the CSR is for another subject than the invited member")
    # 5. Names.
    if [extension.value for extension in extensions] != [names]:
        raise CertificateRefused("the CSR asks for other names than the invited member's")
    return public_key


def _member_of(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, *PARSE_ERRORS) as error:
        raise CertificateRefused("the certificate names no member") from error
    member_id = uris[0].removeprefix(_URI_PREFIX) if len(uris) == 1 else ""
    if not is_member_id(member_id) or names != _member_names(member_id):
        raise CertificateRefused("the certificate names no member, or more than one")
    return member_id


def _member_names(member_id: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([
        x509.DNSName(member_dns(member_id)),
        x509.UniformResourceIdentifier(member_uri(member_id)),
    ])  # fmt: skip


def _p256_key(
    holder: x509.Certificate | x509.CertificateSigningRequest,
) -> ec.EllipticCurvePublicKey:
    try:
        key = holder.public_key()
    except PARSE_ERRORS as error:
        raise CertificateRefused("a public key that does not parse") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateRefused("a TLS key is ECDSA on P-256")
    return key
