"""Who may speak to a node, and how errors travel."""

import json
import socket
import threading

import grpc
import pytest
import structlog

from node.network.rpc_errors import (
    MessageRefused,
    PeerFailed,
    PeerTooSlow,
    PeerUnreachable,
    TooManyRequests,
    remote_errors,
)
from node.network.server import MemberServer, check_free
from node.network.transport import (
    DeadlineRequired,
    PeerNotAdmitted,
    TlsIdentity,
    TransportLimits,
    open_channel,
    peer_member,
)
from protocols.certificates import (
    create_ca,
    issue_certificate,
    issue_server_certificate,
    make_csr,
    make_tls_key,
    member_dns,
    to_pem,
)
from protocols.directory import MemberNotActive, UnknownMember
from protocols.envelope import SuiteUnsupported
from protocols.errors import Malformed, NotFound, PortInUse, StateConflict, Unavailable
from protocols.v1.exchange_pb2 import SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.network import DAY_MS, MEMBERS, now_ms, open_network

LIMITS = TransportLimits()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with open_network(tmp_path_factory.mktemp("network"), MEMBERS[:3]) as opened:
        yield opened


@pytest.fixture
def call(network):
    """Call payments with a TLS identity; what it raises."""

    def fetch(identity, *, name="payments", ca=None):
        endpoint = network.entries["payments"].endpoint
        with (
            open_channel(endpoint, member_dns(name), ca or network.ca, identity, LIMITS) as channel,
            remote_errors("payments"),
        ):
            ExchangeStub(channel).Fetch(SealedRequest(), timeout=5)

    return fetch


def identity(network, member_id, *, ca=None, days=30, at_ms=None):
    ca_key, ca_pem = ca or (network.ca_key, network.ca)
    key = make_tls_key()
    certificate = issue_certificate(
        ca_key, ca_pem, make_csr(key, member_id), member_id, "bank", at_ms or now_ms(), days
    )
    return TlsIdentity(network.ca, to_pem(certificate), key)


def test_a_member_is_admitted(network, call):
    with pytest.raises(SuiteUnsupported):  # an empty request, but it was looked at
        call(network.node("bank-a").identity())


def test_a_caller_without_a_certificate_is_turned_away(network, call):
    with pytest.raises(PeerUnreachable):
        call(None)


def test_a_certificate_of_another_ca_is_turned_away(network, call):
    other = create_ca("test network", now_ms(), 30)
    with pytest.raises(PeerUnreachable):
        call(identity(network, "bank-a", ca=other))


def test_an_expired_certificate_is_turned_away(network, call):
    with pytest.raises(PeerUnreachable):
        call(identity(network, "bank-a", at_ms=now_ms() - 40 * DAY_MS))


def test_a_certificate_that_is_not_valid_yet_is_turned_away(network, call):
    with pytest.raises(PeerUnreachable):
        call(identity(network, "bank-a", at_ms=now_ms() + DAY_MS))


def test_a_certificate_without_a_members_name_is_turned_away(network, call):
    key = make_tls_key()
    certificate = issue_server_certificate(network.ca_key, network.ca, key, now_ms(), 30)
    with pytest.raises(PeerUnreachable):
        call(TlsIdentity(network.ca, to_pem(certificate), key))


def test_a_certificate_of_a_member_that_nobody_knows_is_refused(network, call):
    with pytest.raises(UnknownMember):
        call(identity(network, "bank-x"))


def test_a_second_certificate_of_a_member_is_refused(network, call):
    with pytest.raises(PeerNotAdmitted):
        call(identity(network, "bank-a"))


@pytest.mark.parametrize("status", ["suspended", "revoked"])
def test_a_member_that_is_not_active_is_refused_on_a_connection_it_has(network, status):
    bank = network.node("bank-b")
    stub = ExchangeStub(bank.channels.to_member("payments"))
    with pytest.raises(SuiteUnsupported), remote_errors("payments"):
        stub.Fetch(SealedRequest(), timeout=5)
    network.change("bank-b", status=status)
    try:
        with pytest.raises(MemberNotActive), remote_errors("payments"):
            stub.Fetch(SealedRequest(), timeout=5)
    finally:
        network.change("bank-b", status="active")


def test_a_server_is_believed_only_under_the_name_that_was_meant(network, call):
    with pytest.raises(PeerUnreachable):
        call(network.node("bank-a").identity(), name="bank-b")


def test_a_server_is_believed_only_under_the_networks_ca(network, call):
    _, other = create_ca("test network", now_ms(), 30)
    with pytest.raises(PeerUnreachable):
        call(network.node("bank-a").identity(), ca=other)


def test_a_suspended_member_is_not_called(network):
    network.change("payments", status="suspended")
    try:
        with pytest.raises(MemberNotActive):
            network.node("bank-a").channels.to_member("payments")
    finally:
        network.change("payments", status="active")


def test_a_refusal_is_logged_once_and_names_nobody(network, call):
    with structlog.testing.capture_logs() as logs, pytest.raises(UnknownMember):
        call(identity(network, "bank-x"))
    refused = [entry for entry in logs if entry["event"] == "rpc.refused"]
    assert [entry["code"] for entry in refused] == ["unknown_member"]


class Probe(grpc.GenericRpcHandler):
    """Answers every method with what `act` returns."""

    def __init__(self, act):
        self.act = act

    def service(self, handler_call_details):
        def answer(request, context):
            return self.act(context)

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def probe(network):
    """Serve `act` to bank-a behind bank-b's gate, and call it."""
    servers = []

    def call(act, *, data=b"", timeout=5.0):
        node = network.node("bank-b")
        server = MemberServer(
            node.identity,
            node.documents,
            [lambda grpc_server: grpc_server.add_generic_rpc_handlers([Probe(act)])],
            TransportLimits(workers=2, waiting=0),
        )
        port = server.bind("127.0.0.1:0")
        server.start()
        servers.append(server)
        caller = network.node("bank-a").identity()
        endpoint = f"127.0.0.1:{port}"
        with (
            open_channel(endpoint, member_dns("bank-b"), network.ca, caller, LIMITS) as channel,
            remote_errors("bank-b"),
        ):
            return channel.unary_unary("/probe/Call")(data, timeout=timeout)

    yield call
    for server in servers:
        server.stop(0)


def test_a_handler_learns_whose_certificate_called(probe):
    assert probe(lambda context: peer_member(context).encode()) == b"bank-a"


@pytest.mark.parametrize("kind", [Malformed, NotFound, StateConflict, UnknownMember, Unavailable])
def test_an_error_arrives_as_the_class_that_was_raised(probe, kind):
    def act(context):
        raise kind("it is so")

    with pytest.raises(kind, match="bank-b: it is so") as caught:
        probe(act)
    assert type(caught.value) is kind


def test_an_unexpected_error_travels_and_is_logged_without_its_text(probe):
    def act(context):
        raise ValueError("110101199003078515")

    with structlog.testing.capture_logs() as logs, pytest.raises(PeerFailed) as caught:
        probe(act)
    assert "110101199003078515" not in str(caught.value) + json.dumps(logs)
    failed = [entry for entry in logs if entry["event"] == "rpc.failed"]
    assert [entry["error"] for entry in failed] == ["ValueError"]


def test_a_status_that_a_handler_chose_itself_stays(probe):
    def act(context):
        context.abort(grpc.StatusCode.DATA_LOSS, "gone")

    with pytest.raises(PeerFailed, match="DATA_LOSS"):
        probe(act)


def test_an_unknown_code_of_a_newer_peer_is_told(probe):
    def act(context):
        context.set_trailing_metadata((("credence-code", "a_code_of_tomorrow"),))
        context.abort(grpc.StatusCode.ABORTED, "so it is\x1b[31m")

    with pytest.raises(PeerFailed, match="a_code_of_tomorrow") as caught:
        probe(act)
    assert "\x1b" not in caught.value.message


def test_a_peer_that_is_too_slow_is_given_up(probe):
    def act(context):
        context.add_callback(done.append)
        while context.is_active():
            pass
        return b""

    done = []
    with pytest.raises(PeerTooSlow):
        probe(act, timeout=0.3)


@pytest.mark.parametrize("timeout", [None, 3600])
def test_a_call_without_a_near_deadline_is_refused(probe, timeout):
    with pytest.raises(DeadlineRequired):
        probe(lambda context: b"", timeout=timeout)


def test_one_member_cannot_occupy_a_server(network):
    node, caller = network.node("bank-b"), network.node("bank-a").identity()
    entered, release = threading.Semaphore(0), threading.Event()

    def act(context):
        entered.release()
        release.wait(5)
        return b"done"

    server = MemberServer(
        node.identity,
        node.documents,
        [lambda grpc_server: grpc_server.add_generic_rpc_handlers([Probe(act)])],
        TransportLimits(workers=4, calls_per_member=2),
    )
    endpoint = f"127.0.0.1:{server.bind('127.0.0.1:0')}"
    server.start()
    with open_channel(endpoint, member_dns("bank-b"), network.ca, caller, LIMITS) as channel:
        call = channel.unary_unary("/probe/Call")
        first = [call.future(b"", timeout=10) for _ in range(2)]
        assert all(entered.acquire(timeout=5) for _ in first)
        with pytest.raises(TooManyRequests), remote_errors("bank-b"):
            call(b"", timeout=5)
        release.set()
        assert [one.result() for one in first] == [b"done", b"done"]
        assert call(b"", timeout=5) == b"done"
    server.stop(0)


def test_an_oversize_message_is_refused(probe):
    with pytest.raises(MessageRefused):
        probe(lambda context: b"", data=bytes(300 * 1024))


def test_nothing_at_an_endpoint_is_unreachable(network, call):
    with (
        open_channel("127.0.0.1:1", member_dns("payments"), network.ca, None, LIMITS) as channel,
        pytest.raises(PeerUnreachable),
        remote_errors("payments"),
    ):
        ExchangeStub(channel).Fetch(SealedRequest(), timeout=5)


def test_a_taken_port_is_one_clear_error(network):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(PortInUse, match=endpoint):
            check_free(endpoint)


def test_a_second_server_on_one_port_is_refused(network):
    node = network.node("bank-b")
    server = MemberServer(node.identity, node.documents, [], LIMITS)
    try:
        with pytest.raises(PortInUse):
            server.bind(network.entries["payments"].endpoint)
    finally:
        server.stop(0)


def test_a_server_that_never_served_lets_go_of_its_port(network):
    node = network.node("bank-b")
    first, second = (MemberServer(node.identity, node.documents, [], LIMITS) for _ in range(2))
    port = first.bind("127.0.0.1:0")
    first.stop(0)
    assert second.bind(f"127.0.0.1:{port}") == port
    second.stop(0)


def test_an_address_of_another_machine_is_one_clear_error():
    with pytest.raises(PortInUse, match=r"192\.0\.2\.1"):
        check_free("192.0.2.1:7500")
