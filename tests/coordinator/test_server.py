"""The coordinator's two ports over real TLS on loopback."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from coordinator.bootstrap import Coordinator, open_coordinator
from coordinator.process import Ports, run, serving
from coordinator.transport import CODE_KEY
from protocols.certificates import create_ca, issue_certificate, make_csr, to_pem
from protocols.directory import accept
from protocols.documents import from_proto
from protocols.errors import AlreadyRunning, PortInUse
from protocols.v1.membership_pb2 import (
    GetBundleRequest,
    GetDocumentRequest,
    JoinRequest,
    JoinResponse,
)
from protocols.v1.membership_pb2_grpc import EnrolmentStub, MembershipStub
from tests.coordinator.applicants import HOUR_S, NOW, Applicant, join

TIMEOUT_S = 10


@contextmanager
def channel(port: int, ca: bytes, applicant: Applicant | None = None, certificate: bytes = b""):
    credentials = grpc.ssl_channel_credentials(
        ca, applicant.tls if applicant else None, to_pem(certificate) if certificate else None
    )
    options = [("grpc.ssl_target_name_override", "coordinator.credence")]
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as opened:
        yield opened


def code_of(error: grpc.RpcError) -> str | None:
    return dict(error.trailing_metadata() or ()).get(CODE_KEY)


@pytest.fixture
def ports(coordinator: Coordinator) -> Iterator[Ports]:
    with serving(coordinator) as bound:
        yield bound


def ask_to_join(
    coordinator: Coordinator, port: int, applicant: Applicant, **changes: bytes
) -> JoinResponse:
    invitation = coordinator.membership.invite(applicant.member_id, applicant.role, HOUR_S, NOW)
    attempt = applicant.attempt(invitation, **changes)
    with channel(port, coordinator.identity.ca) as opened:
        return EnrolmentStub(opened).Join(JoinRequest(**vars(attempt)), timeout=TIMEOUT_S)


def test_a_node_joins_over_the_wire_and_then_reads_the_documents(
    coordinator: Coordinator, ports: Ports
) -> None:
    applicant = Applicant()
    answer = ask_to_join(coordinator, ports.enrolment, applicant)
    key = coordinator.keys.directory.verify_key
    joined = accept(None, from_proto(answer.directory), key)
    assert answer.ca_certificate_der == ssl.PEM_cert_to_DER_cert(coordinator.identity.ca.decode())
    with channel(
        ports.members, coordinator.identity.ca, applicant, answer.certificate_der
    ) as opened:
        stub = MembershipStub(opened)
        read = stub.GetDocument(GetDocumentRequest(kind="directory"), timeout=TIMEOUT_S)
        assert accept(joined, from_proto(read), key) == joined
        catalogue = stub.GetDocument(GetDocumentRequest(kind="catalogue"), timeout=TIMEOUT_S)
        assert catalogue.body == answer.catalogue.body
    assert "bank-a" in coordinator.presence.take()


def test_a_refused_join_carries_its_code(coordinator: Coordinator, ports: Ports) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask_to_join(coordinator, ports.enrolment, Applicant(), token=bytes(32))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert code_of(caught.value) == "invitation_refused"


def test_a_stranger_without_a_certificate_is_turned_away_by_tls(
    coordinator: Coordinator, ports: Ports
) -> None:
    with (
        channel(ports.members, coordinator.identity.ca) as opened,
        pytest.raises(grpc.RpcError) as caught,
    ):
        MembershipStub(opened).GetDocument(GetDocumentRequest(kind="directory"), timeout=2)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_of_another_ca_is_turned_away_by_tls(
    coordinator: Coordinator, ports: Ports
) -> None:
    applicant = Applicant()
    key, ca = create_ca("another network", NOW, 30)
    csr = make_csr(applicant.tls, "bank-a")
    certificate = issue_certificate(key, ca, csr, "bank-a", "bank", NOW, 30)
    with (
        channel(ports.members, coordinator.identity.ca, applicant, certificate) as opened,
        pytest.raises(grpc.RpcError) as caught,
    ):
        MembershipStub(opened).GetDocument(GetDocumentRequest(kind="directory"), timeout=2)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_an_older_certificate_of_a_member_is_refused(
    coordinator: Coordinator, ports: Ports
) -> None:
    applicant = Applicant()
    join(coordinator, applicant)
    csr = make_csr(applicant.tls, "bank-a")
    other = issue_certificate(
        coordinator.keys.ca, coordinator.identity.ca, csr, "bank-a", "bank", NOW, 30
    )
    with (
        channel(ports.members, coordinator.identity.ca, applicant, other) as opened,
        pytest.raises(grpc.RpcError) as caught,
    ):
        MembershipStub(opened).GetDocument(GetDocumentRequest(kind="directory"), timeout=TIMEOUT_S)
    assert code_of(caught.value) == "caller_not_admitted"


def test_a_member_suspended_on_an_open_connection_is_out_at_its_next_call(
    coordinator: Coordinator, ports: Ports
) -> None:
    applicant = Applicant()
    joined = join(coordinator, applicant)
    with channel(
        ports.members, coordinator.identity.ca, applicant, joined.certificate_der
    ) as opened:
        stub = MembershipStub(opened)
        stub.GetDocument(GetDocumentRequest(kind="directory"), timeout=TIMEOUT_S)
        coordinator.membership.set_status("bank-a", "suspended", NOW)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetDocument(GetDocumentRequest(kind="directory"), timeout=TIMEOUT_S)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert code_of(caught.value) == "member_not_active"


def test_only_the_networks_own_documents_are_served(coordinator: Coordinator, ports: Ports) -> None:
    applicant = Applicant()
    joined = join(coordinator, applicant)
    with channel(
        ports.members, coordinator.identity.ca, applicant, joined.certificate_der
    ) as opened:
        stub = MembershipStub(opened)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetDocument(GetDocumentRequest(kind="plan"), timeout=TIMEOUT_S)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.GetBundle(GetBundleRequest(), timeout=TIMEOUT_S))
        assert code_of(caught.value) == "unknown_bundle"


def test_an_oversized_join_request_is_not_read(coordinator: Coordinator, ports: Ports) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        ask_to_join(coordinator, ports.enrolment, Applicant(), csr_der=bytes(200_000))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_the_enrolment_port_shows_the_ca_certificate_to_be_pinned(
    coordinator: Coordinator, ports: Ports
) -> None:
    context = ssl.create_default_context(cadata=coordinator.identity.ca.decode())
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", ports.enrolment), TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname="coordinator.credence") as tls,
    ):
        chain = tls._sslobj.get_unverified_chain()
    assert len(chain) == 2
    assert chain[1].public_bytes().strip() == coordinator.identity.ca.decode().strip()


def test_a_port_in_use_is_one_clear_error(coordinator: Coordinator) -> None:
    with socket.socket() as taken:
        host, port = coordinator.settings.listen_members.split(":")
        taken.bind((host, int(port)))
        taken.listen()
        with pytest.raises(PortInUse, match=port), serving(coordinator):
            pass


def test_a_second_coordinator_on_the_ports_of_the_first_is_refused(
    coordinator: Coordinator, ports: Ports
) -> None:
    with pytest.raises(PortInUse), serving(coordinator):
        pass


def test_a_process_serves_until_it_is_stopped_and_frees_its_ports(home: Path) -> None:
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=run, args=(home, stop, lambda _ports: ready.set()))
    thread.start()
    try:
        assert ready.wait(TIMEOUT_S)
        with pytest.raises(AlreadyRunning):
            run(home, stop, lambda _ports: None)
    finally:
        stop.set()
        thread.join(TIMEOUT_S)
    assert not thread.is_alive()
    again = open_coordinator(home)
    with serving(again) as bound:
        assert f"127.0.0.1:{bound.members}" == again.settings.listen_members
    again.close()
