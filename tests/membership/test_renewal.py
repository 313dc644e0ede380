"""A node renews its certificate by itself, without a restart and without a gap."""

import socket
import ssl
from contextlib import contextmanager

import pytest

from coordinator.membership import renewal
from node.bootstrap import open_node
from node.network.key_care import RenewalAnswerInvalid
from node.network.rpc_errors import PeerTooSlow, remote_errors
from protocols.certificates import fingerprint, make_csr, make_tls_key, member_dns, valid_until_ms
from protocols.directory import MemberNotActive
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.rotation import RENEWAL_DOMAIN
from protocols.v1.membership_pb2 import RenewRequest
from protocols.v1.membership_pb2_grpc import MembershipStub
from tests.membership.test_suspension import admitted
from tests.membership.world import DAY_MS, kinds_of, now_ms


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Certificates of these tests are seconds old."""
    monkeypatch.setattr(renewal, "SOONEST_RENEWAL_MS", -1)


def entry_of(world, member_id):
    return world.directory.member(member_id)


def shown_by(world, member_id, tmp_path):
    """The fingerprint of the certificate that a member's port shows now."""
    caller = world.nodes["bank-b"].identity()
    (tmp_path / "chain.pem").write_bytes(caller.certificate + caller.key)
    context = ssl.create_default_context(cadata=caller.ca.decode())
    context.load_cert_chain(tmp_path / "chain.pem")
    context.set_alpn_protocols(["h2"])
    host, port = world.nodes[member_id].settings.dialled.split(":")
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain, server_hostname=member_dns(member_id)) as tls,
    ):
        return fingerprint(tls.getpeercert(binary_form=True))


def test_a_certificate_is_left_alone_for_two_thirds_of_its_life(world):
    bank = world.nodes["bank-a"]
    before = bank.identity()
    bank.key_care._clock = lambda: now_ms() + 59 * DAY_MS
    bank.key_care.tend()
    assert bank.identity() is before


def test_then_it_is_renewed_and_both_are_honoured_on_running_connections(world, tmp_path):
    bank = world.nodes["bank-a"]
    assert admitted(world, "bank-a", "payments")
    before = bank.identity()
    channel = bank.channels.to_member("payments")
    bank.key_care._clock = lambda: now_ms() + 61 * DAY_MS
    bank.key_care.tend()
    after = bank.identity()
    assert after.certificate != before.certificate
    assert after.key != before.key
    entry = entry_of(world, "bank-a")
    assert entry.certificate_sha256 == fingerprint(after.certificate)
    assert [one.sha256 for one in entry.earlier_certificates] == [fingerprint(before.certificate)]
    # As a caller: a new channel with the new certificate, which payments has not heard of yet.
    assert bank.channels.to_member("payments") is not channel
    assert admitted(world, "bank-a", "payments")
    with pytest.raises(CredenceError) as caught:
        world.call_as(before, "payments")  # the old one, within the overlap
    assert caught.value.code == "suite_unsupported"
    # As a server: the port that was bound before shows the new one.
    assert shown_by(world, "bank-a", tmp_path) == fingerprint(after.certificate)
    assert admitted(world, "bank-b", "bank-a")


def test_a_renewal_is_a_leaf_at_both(world):
    bank = world.nodes["bank-a"]
    bank.key_care.renew()
    assert kinds_of(world.coordinator.audit)[-1] == "member.certificate_renewed"
    assert kinds_of(bank.audit)[-1] == "membership.certificate_renewed"


def test_another_process_of_the_node_takes_the_new_certificate(world):
    bank = world.nodes["bank-a"]
    beside = open_node(bank.home)
    try:
        beside.key_care.renew()
    finally:
        beside.close()
    assert fingerprint(bank.identity().certificate) == entry_of(world, "bank-a").certificate_sha256
    assert admitted(world, "bank-a", "payments")


def test_a_certificate_lives_ninety_days_at_most(world):
    until = valid_until_ms(world.nodes["bank-a"].identity().certificate)
    assert until - now_ms() <= 90 * DAY_MS
    world.nodes["bank-a"].key_care.renew()
    until = valid_until_ms(world.nodes["bank-a"].identity().certificate)
    assert until - now_ms() <= 90 * DAY_MS
    own = valid_until_ms(world.coordinator.own_certificate().certificate)
    assert own - now_ms() <= 90 * DAY_MS


def test_the_coordinator_renews_its_own_and_shows_it_on_the_open_port(world):
    own = world.coordinator.own_certificate
    before, told = own().certificate, []
    assert not own.renew_if_due(now_ms() + 50 * DAY_MS, told.append)
    assert own.renew_if_due(now_ms() + 61 * DAY_MS, told.append)
    assert own().certificate != before
    assert told == [own().certificate]
    endpoint = world.coordinator.settings.dialled_by_members
    caller = world.nodes["bank-b"].identity()
    assert serves(endpoint, caller) == fingerprint(own().certificate)


def serves(endpoint, caller):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, port = endpoint.split(":")
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain) as tls,
    ):
        return fingerprint(tls.getpeercert(binary_form=True))


@contextmanager
def losing_answers(care):
    """The coordinator does what is asked, but its answers never arrive."""
    real = care._membership

    class Lossy:
        def renew(self, request):
            real.renew(request)
            raise PeerTooSlow("no answer")

        def rotate(self, request):
            real.rotate(request)
            raise PeerTooSlow("no answer")

    care._membership = Lossy()
    try:
        yield
    finally:
        care._membership = real


def test_an_answer_that_is_lost_costs_nothing(world):
    bank = world.nodes["bank-a"]
    before = bank.identity()
    for _ in range(3):
        with losing_answers(bank.key_care), pytest.raises(PeerTooSlow):
            bank.key_care.renew()
    assert bank.identity().certificate == before.certificate
    assert admitted(world, "bank-a", "payments")
    bank.documents.refresh()
    bank.key_care.tend()  # the directory names a certificate that is not here
    assert fingerprint(bank.identity().certificate) == entry_of(world, "bank-a").certificate_sha256
    assert admitted(world, "bank-a", "payments")


def test_asking_again_and_again_with_an_old_certificate_does_not_keep_it_alive(world):
    bank = world.nodes["bank-a"]
    with losing_answers(bank.key_care), pytest.raises(PeerTooSlow):
        bank.key_care.renew()
    first = entry_of(world, "bank-a").earlier_certificates[0].until_ms
    with losing_answers(bank.key_care), pytest.raises(PeerTooSlow):
        bank.key_care.renew()
    assert entry_of(world, "bank-a").earlier_certificates[0].until_ms == first


def ask(world, member_id, csr, signature):
    node = world.nodes[member_id]
    stub = MembershipStub(node.channels.to_coordinator(node.settings.coordinator_endpoint))
    with remote_errors("the coordinator"):
        return stub.Renew(RenewRequest(csr_der=csr, signature=signature), timeout=10)


def for_another_member(world):
    """bank-b asks for a certificate of bank-a."""
    csr = make_csr(make_tls_key(), "bank-a")
    return csr, world.nodes["bank-b"].keys.signing.sign(RENEWAL_DOMAIN, csr)


def signed_by_another_member(world):
    csr = make_csr(make_tls_key(), "bank-b")
    return csr, world.nodes["bank-a"].keys.signing.sign(RENEWAL_DOMAIN, csr)


def with_the_tls_key_alone(world):
    """Whoever stole bank-b's TLS key has its connection, and no signing key."""
    csr = make_csr(make_tls_key(), "bank-b")
    return csr, SigningKey.generate().sign(RENEWAL_DOMAIN, csr)


def signed_for_something_else(world):
    csr = make_csr(make_tls_key(), "bank-b")
    return csr, world.nodes["bank-b"].keys.signing.sign("join", csr)


def with_another_members_tls_key(world):
    csr = make_csr(world.nodes["bank-a"].keys.tls, "bank-b")
    return csr, world.nodes["bank-b"].keys.signing.sign(RENEWAL_DOMAIN, csr)


def with_the_key_it_has(world):
    csr = make_csr(world.nodes["bank-b"].keys.tls, "bank-b")
    return csr, world.nodes["bank-b"].keys.signing.sign(RENEWAL_DOMAIN, csr)


def bit_flipped(world):
    csr = bytearray(make_csr(make_tls_key(), "bank-b"))
    csr[-1] ^= 1
    return bytes(csr), world.nodes["bank-b"].keys.signing.sign(RENEWAL_DOMAIN, bytes(csr))


def oversized(world):
    csr = bytes(9000)
    return csr, world.nodes["bank-b"].keys.signing.sign(RENEWAL_DOMAIN, csr)


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (for_another_member, "certificate_refused"),
        (signed_by_another_member, "signature_invalid"),
        (with_the_tls_key_alone, "signature_invalid"),
        (signed_for_something_else, "signature_invalid"),
        (with_another_members_tls_key, "key_in_use"),
        (with_the_key_it_has, "key_in_use"),
        (bit_flipped, "certificate_refused"),
        (oversized, "invalid_input"),
    ],
)
def test_a_renewal_that_is_not_the_callers_own_changes_nothing(world, attack, code):
    csr, signature = attack(world)
    before, size = world.directory, world.coordinator.audit.head().size
    with pytest.raises(CredenceError) as caught:
        ask(world, "bank-b", csr, signature)
    assert caught.value.code == code
    assert world.directory == before
    assert world.coordinator.audit.head().size == size
    assert admitted(world, "bank-b", "payments")


def test_a_suspended_member_renews_nothing(world):
    world.coordinator.membership.set_status("bank-b", "suspended", now_ms())
    with pytest.raises(MemberNotActive):
        world.nodes["bank-b"].key_care.renew()


def test_renewals_come_one_a_minute(world, monkeypatch):
    monkeypatch.setattr(renewal, "SOONEST_RENEWAL_MS", 60_000)
    with pytest.raises(renewal.RenewalTooSoon):
        world.nodes["bank-b"].key_care.renew()


def test_an_answer_for_another_is_not_taken(world):
    """A coordinator that answers with a certificate which the directory beside it does not name."""
    bank, care = world.nodes["bank-a"], world.nodes["bank-a"].key_care
    before, real = bank.identity(), care._membership
    directory = real.document("directory")

    class Crossed:
        def renew(self, request):
            from protocols.documents import to_proto

            answer = real.renew(request)
            answer.directory.CopyFrom(to_proto(directory))
            return answer

    care._membership = Crossed()
    with pytest.raises(RenewalAnswerInvalid):
        care.renew()
    assert bank.identity().certificate == before.certificate
