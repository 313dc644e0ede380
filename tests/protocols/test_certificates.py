"""The network's CA and the certificates of its members."""

import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from protocols import certificates as c
from protocols.errors import CredenceError, InvalidInput, Malformed

NOW = 1_750_000_000_000
DAY = 86_400_000


class World:
    """A CA, another CA, and a node's key."""

    def __init__(self):
        self.ca_key, self.ca = c.create_ca("Credence sandbox", NOW, 365)
        self.other_key, self.other_ca = c.create_ca("Credence sandbox", NOW, 365)
        self.key = c.make_tls_key()

    def issue(self, csr=None, *, member_id="bank-a", role="bank", days=30):
        csr = c.make_csr(self.key, member_id) if csr is None else csr
        return c.issue_certificate(self.ca_key, self.ca, csr, member_id, role, NOW, days)


@pytest.fixture(scope="module")
def world():
    return World()


def csr(*, names=None, subject="bank-a", key=None, digest=None, extra=None):
    """A CSR of choice; by default the right one for bank-a."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    if names is None:
        names = right_names()
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    digest = hashes.SHA256() if digest is None else digest
    signed_with = None if isinstance(key, ed25519.Ed25519PrivateKey) else digest
    return builder.sign(key, signed_with).public_bytes(serialization.Encoding.DER)


def right_names(member_id="bank-a"):
    return [
        x509.DNSName(f"{member_id}.members.credence"),
        x509.UniformResourceIdentifier(f"credence://member/{member_id}"),
    ]


def test_a_certificate_names_its_member_for_both_sides_of_a_connection(world):
    certificate = world.issue()
    assert c.member_id_of(certificate) == "bank-a"
    assert c.member_id_of(c.to_pem(certificate)) == "bank-a"
    found = c.verify_member_certificate(certificate, world.ca, now_ms=NOW, key_pem=world.key)
    assert found == "bank-a"
    parsed = x509.load_der_x509_certificate(certificate)
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == right_names()
    assert c.valid_until_ms(certificate) == NOW + 30 * DAY


def test_the_helper_of_these_tests_makes_an_acceptable_request(world):
    assert c.member_id_of(world.issue(csr())) == "bank-a"


@pytest.mark.parametrize(
    "names",
    [
        right_names("bank-b"),
        right_names()[:1],
        right_names()[1:],
        right_names()[::-1],
        [*right_names(), x509.DNSName("coordinator.credence")],
        [*right_names(), *right_names("payments")],
        [right_names()[0], right_names("bank-b")[1]],
        [x509.DNSName("*.members.credence"), right_names()[1]],
        [],
    ],
)
def test_a_request_for_other_names_than_the_invited_ones_is_refused(world, names):
    with pytest.raises(c.CertificateRefused):
        world.issue(csr(names=names))


def test_a_request_for_another_subject_is_refused(world):
    with pytest.raises(c.CertificateRefused):
        world.issue(csr(subject="bank-b"))


def test_a_request_to_become_a_ca_is_refused(world):
    with pytest.raises(c.CertificateRefused):
        world.issue(csr(extra=x509.BasicConstraints(ca=True, path_length=0)))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "Ed25519", "RSA"],
)
def test_a_request_with_another_kind_of_key_is_refused(world, key):
    with pytest.raises(c.CertificateRefused):
        world.issue(csr(key=key))


def test_a_request_signed_with_another_hash_is_refused(world):
    with pytest.raises(c.CertificateRefused):
        world.issue(csr(digest=hashes.SHA512()))


def test_a_request_whose_signature_is_not_its_own_is_refused(world):
    good = csr()
    for place in (len(good) - 1, len(good) - 40):
        forged = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
        with pytest.raises(c.CertificateRefused):
            world.issue(forged)


def test_no_single_changed_byte_of_a_request_gets_a_certificate(world):
    good = csr()
    for place in range(0, len(good), 3):
        forged = good[:place] + bytes([good[place] ^ 0x41]) + good[place + 1 :]
        with pytest.raises(c.CertificateRefused):
            world.issue(forged)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.binary(max_size=200))
def test_random_bytes_are_neither_request_nor_certificate(world, data):
    with pytest.raises(c.CertificateRefused):
        world.issue(data)
    for read in (c.member_id_of, c.fingerprint, c.to_pem, c.valid_until_ms):
        with pytest.raises(CredenceError):
            read(data)
    with pytest.raises(CredenceError):
        c.verify_member_certificate(data, world.ca, now_ms=NOW)
    with pytest.raises(CredenceError):
        c.make_csr(data, "bank-a")


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_certificate_with_one_changed_byte_raises_nothing_but_our_own_error(world, place, mask):
    good = bytearray(CERTIFICATES.setdefault(id(world), world.issue()))
    good[place % len(good)] ^= mask
    with pytest.raises(CredenceError):
        c.verify_member_certificate(bytes(good), world.ca, now_ms=NOW)


CERTIFICATES: dict[int, bytes] = {}


def test_oversized_requests_and_certificates_are_not_parsed(world):
    with pytest.raises(c.CertificateRefused):
        world.issue(csr() + bytes(20_000))
    with pytest.raises(Malformed):
        c.to_der(world.issue() + bytes(20_000))


def test_a_certificate_of_another_ca_of_the_same_name_is_refused(world):
    with pytest.raises(c.CertificateRefused):
        c.verify_member_certificate(world.issue(), world.other_ca, now_ms=NOW)


def test_a_certificate_is_refused_before_and_after_its_time(world):
    certificate = world.issue()
    for at in (NOW - c.BACKDATING_MS - 1000, NOW + 30 * DAY + 1000):
        with pytest.raises(c.CertificateRefused):
            c.verify_member_certificate(certificate, world.ca, now_ms=at)
    for at in (NOW - c.BACKDATING_MS, NOW + 30 * DAY):
        c.verify_member_certificate(certificate, world.ca, now_ms=at)


def test_a_certificate_for_another_key_is_refused(world):
    with pytest.raises(c.CertificateRefused):
        c.verify_member_certificate(world.issue(), world.ca, now_ms=NOW, key_pem=c.make_tls_key())


def test_the_coordinators_certificate_and_the_ca_name_no_member(world):
    server = c.issue_server_certificate(world.ca_key, world.ca, c.make_tls_key(), NOW, 30)
    for certificate in (server, world.ca):
        with pytest.raises(c.CertificateRefused):
            c.member_id_of(certificate)
        with pytest.raises(c.CertificateRefused):
            c.verify_member_certificate(certificate, world.ca, now_ms=NOW)


def _signed_by_the_ca(world, names, usages=c.ExtendedKeyUsageOID):
    key = serialization.load_pem_private_key(world.ca_key, None)
    ca = x509.load_pem_x509_certificate(world.ca)
    start = dt.datetime.fromtimestamp(NOW / 1000, dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bank-a")]))
        .issuer_name(ca.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usages.SERVER_AUTH, usages.CLIENT_AUTH]), False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


@pytest.mark.parametrize(
    "names",
    [
        right_names()[:1],
        right_names()[1:],
        [right_names()[0], right_names("bank-b")[1]],
        [*right_names(), right_names("bank-b")[1]],
        [*right_names(), x509.DNSName("example.org")],
        [right_names()[0], x509.UniformResourceIdentifier("credence://member/Bank")],
        [right_names()[0], x509.UniformResourceIdentifier("https://member/bank-a")],
    ],
)
def test_a_certificate_that_does_not_name_exactly_one_member_is_refused(world, names):
    good = _signed_by_the_ca(world, right_names())
    assert c.verify_member_certificate(good, world.ca, now_ms=NOW) == "bank-a"
    certificate = _signed_by_the_ca(world, names)
    with pytest.raises(c.CertificateRefused):
        c.member_id_of(certificate)
    with pytest.raises(c.CertificateRefused):
        c.verify_member_certificate(certificate, world.ca, now_ms=NOW)


def test_the_ca_is_taken_only_with_the_pinned_fingerprint(world):
    pin = c.fingerprint(world.ca)
    assert c.verify_ca(c.to_der(world.ca), pin, now_ms=NOW) == world.ca
    member = world.issue()
    for certificate, pinned, at in (
        (world.other_ca, pin, NOW),
        (world.ca, pin, NOW + 366 * DAY),
        (member, c.fingerprint(member), NOW),
    ):
        with pytest.raises(c.CertificateRefused):
            c.verify_ca(certificate, pinned, now_ms=at)


def test_der_and_pem_are_one_certificate(world):
    certificate = world.issue()
    assert c.to_der(c.to_pem(certificate)) == certificate
    assert c.fingerprint(certificate) == c.fingerprint(c.to_pem(certificate))


def test_a_certificate_never_outlives_its_ca(world):
    assert c.valid_until_ms(world.issue(days=3650)) == NOW + 365 * DAY
    request = c.make_csr(world.key, "bank-a")
    late = NOW + 366 * DAY
    with pytest.raises(InvalidInput):
        c.issue_certificate(world.ca_key, world.ca, request, "bank-a", "bank", late, 30)


def test_what_an_operator_gives_is_checked(world):
    for member_id in ("", "Bank", "b", "a" * 42, "bank_a", "bank-a\n", "bänk"):
        with pytest.raises(InvalidInput):
            c.make_csr(world.key, member_id)
    with pytest.raises(InvalidInput):
        world.issue(role="operator")
    for days in (0, 3651):
        with pytest.raises(InvalidInput):
            world.issue(days=days)
    for name in ("", "a" * 65):
        with pytest.raises(InvalidInput):
            c.create_ca(name, NOW, 1)
    with pytest.raises(InvalidInput):
        c.issue_server_certificate(world.other_key, world.ca, c.make_tls_key(), NOW, 1)


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str):
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = [False, False]
    for _ in range(10):
        for i, end in enumerate(ends):
            try:
                end.do_handshake()
                done[i] = True
            except ssl.SSLWantReadError:
                pass
        if all(done):
            return ends[1].getpeercert(binary_form=True)
    raise AssertionError("the handshake does not end")


def _context(tmp_path, world, side, certificate, key):
    (tmp_path / "certificate.pem").write_bytes(c.to_pem(certificate))
    (tmp_path / "key.pem").write_bytes(key)
    context = ssl.SSLContext(side)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=world.ca.decode())
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return context


def _fresh(ca_key, ca, member_id):
    now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    key = c.make_tls_key()
    request = c.make_csr(key, member_id)
    return c.issue_certificate(ca_key, ca, request, member_id, "bank", now, 2), key


def test_two_members_complete_a_strict_mutual_tls_handshake_and_nobody_else(tmp_path):
    now = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    world = World()
    world.ca_key, world.ca = c.create_ca("Credence", now, 10)
    stranger_key, stranger_ca = c.create_ca("Credence", now, 10)
    bank = _context(
        tmp_path, world, ssl.PROTOCOL_TLS_CLIENT, *_fresh(world.ca_key, world.ca, "bank-a")
    )
    holder = _context(
        tmp_path, world, ssl.PROTOCOL_TLS_SERVER, *_fresh(world.ca_key, world.ca, "payments")
    )
    stranger = _context(
        tmp_path, world, ssl.PROTOCOL_TLS_CLIENT, *_fresh(stranger_key, stranger_ca, "bank-a")
    )
    peer = _handshake(bank, holder, "payments.members.credence")
    assert c.member_id_of(peer) == "bank-a"
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(bank, holder, "public-records.members.credence")
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(stranger, holder, "payments.members.credence")
