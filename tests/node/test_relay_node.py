"""A running node without an open port, behind a real coordinator."""

import socket
import threading
import time
from contextlib import closing

import grpc
import pytest

from audit.leaf import parse_leaf
from coordinator.process import serving
from coordinator.relay.ledger import CarriedLedger
from node.bootstrap import init_node, join, open_node
from node.network.rpc_errors import PeerUnreachable, remote_errors
from node.network.server import member_services
from node.process import running
from node.relay.desk import Services
from node.status import summary
from protocols.envelope import SuiteUnsupported
from protocols.v1.exchange_pb2 import SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from protocols.v1.relay_pb2 import RelayDial, RelayFrame
from protocols.v1.relay_pb2_grpc import RelayStub
from tests.node.coordinated import invite, now_ms, serving_coordinator


@pytest.fixture
def coordinator(tmp_path):
    with serving_coordinator(tmp_path / "coordinator") as opened:
        yield opened


def member(coordinator, tmp_path, member_id, **options):
    home = tmp_path / member_id
    given = {"listen": "", "http": "127.0.0.1:0", "train": False, "refresh_s": 10.0}
    init_node(home, member_id=member_id, name=member_id, role="bank", **(given | options))
    join(home, invite(coordinator, member_id), now_ms())
    return home


def ask(node, callee, timeout=5):
    with remote_errors(callee):
        ExchangeStub(node.routes.to_member(callee)).Fetch(SealedRequest(), timeout=timeout)


def test_a_node_without_an_open_port_is_listed_without_an_endpoint_and_answers(
    coordinator, tmp_path
):
    hidden = member(coordinator, tmp_path, "hidden")
    caller_home = member(coordinator, tmp_path, "caller")
    entry = coordinator.membership.directory().member("hidden")
    assert entry.endpoint is None
    with running(hidden, now_ms) as process, closing(open_node(caller_home)) as caller:
        assert process.port is None
        assert process.line.wait_attached(10)
        assert summary(process.node)["endpoints"]["members"] is None
        with pytest.raises(SuiteUnsupported):
            ask(caller, "hidden")


def test_no_port_is_open(coordinator, tmp_path, monkeypatch):
    bound = []
    original = socket.socket.bind
    monkeypatch.setattr(
        socket.socket, "bind", lambda own, at: (bound.append(at), original(own, at))[1]
    )
    with running(member(coordinator, tmp_path, "hidden"), now_ms) as process:
        assert process.line.wait_attached(10)
    assert bound == []


def test_the_coordinators_log_names_members_and_sizes_and_nothing_else(coordinator):
    ledger = CarriedLedger(coordinator.database, coordinator.audit, now_ms)
    ledger.write()  # nothing was carried: nothing is written
    size = coordinator.audit.head().size
    ledger.add("caller", "hidden", 500, 700)
    ledger.add("caller", "hidden", 100, 300)
    ledger.write()
    ledger.write()
    assert coordinator.audit.head().size == size + 1
    assert coordinator.audit.payload(size) == {
        "caller": "caller",
        "callee": "hidden",
        "calls": 2,
        "bytes_there": 600,
        "bytes_back": 1000,
    }


def test_what_was_carried_is_in_the_log_when_the_coordinator_stops(tmp_path):
    with serving_coordinator(tmp_path / "coordinator") as coordinator:
        hidden = member(coordinator, tmp_path, "hidden")
        caller_home = member(coordinator, tmp_path, "caller")
        with running(hidden, now_ms) as process, closing(open_node(caller_home)) as caller:
            assert process.line.wait_attached(10)
            with pytest.raises(SuiteUnsupported):
                ask(caller, "hidden")
    from coordinator.bootstrap import open_coordinator

    with closing(open_coordinator(tmp_path / "coordinator")) as again:
        with again.database.read() as connection:
            leaves = list(again.audit.leaves(connection, 0, again.audit.head().size))
        kinds = [parse_leaf(stored.leaf)["kind"] for stored in leaves]
        carried = again.audit.payload(kinds.index("relay.carried"))
    assert kinds.count("relay.carried") == 1
    assert (carried["caller"], carried["callee"], carried["calls"]) == ("caller", "hidden", 1)


def test_a_line_comes_back_when_the_coordinator_does(tmp_path):
    from coordinator.bootstrap import open_coordinator

    home = tmp_path / "coordinator"
    with serving_coordinator(home) as coordinator:
        hidden = member(coordinator, tmp_path, "hidden")
        caller_home = member(coordinator, tmp_path, "caller")
        with closing(open_node(hidden)) as node:
            node.documents.refresh()  # now both know each other
    with running(hidden, now_ms) as process, closing(open_node(caller_home)) as caller:
        with pytest.raises(PeerUnreachable):
            ask(caller, "hidden", timeout=2)
        with closing(open_coordinator(home)) as again, serving(again):
            assert process.line.wait_attached(20)
            assert answers_within(10, caller)


def answers_within(seconds, caller):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            ask(caller, "hidden")
        except SuiteUnsupported:
            return True
        except PeerUnreachable:
            time.sleep(0.1)  # gRPC waits before it dials again
    return False


def test_a_suspended_member_is_put_through_neither_as_caller_nor_as_callee(coordinator, tmp_path):
    hidden = member(coordinator, tmp_path, "hidden")
    caller_home = member(coordinator, tmp_path, "caller")
    with running(hidden, now_ms) as process, closing(open_node(caller_home)) as caller:
        assert process.line.wait_attached(10)
        with pytest.raises(SuiteUnsupported):
            ask(caller, "hidden")
        channel = caller.channels.to_coordinator(caller.settings.coordinator_endpoint)
        coordinator.membership.set_status("hidden", "suspended", now_ms())
        assert dialled(channel) == "member_not_active"
        deadline = time.monotonic() + 10
        while process.line.wait_attached(0) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not process.line.wait_attached(0)  # its line was ended, not only its calls


def dialled(channel):
    over = threading.Event()

    def frames():
        yield RelayFrame(dial=RelayDial(callee="hidden"))
        over.wait(5)

    try:
        list(RelayStub(channel).Call(frames(), timeout=5))
    except grpc.RpcError as error:
        return dict(error.trailing_metadata())["credence-code"]
    finally:
        over.set()
    return ""


def test_all_that_is_served_directly_is_served_through_the_relay(coordinator, tmp_path):
    with closing(open_node(member(coordinator, tmp_path, "hidden"))) as node:
        server = grpc.server(None)
        direct = []
        server.add_registered_method_handlers = lambda service, handlers: direct.extend(
            f"/{service}/{name}" for name in handlers
        )
        for register in member_services(node):
            register(server)
        services = Services(member_services(node))
        assert direct
        assert all(services.method(name) is not None for name in direct)
        assert services.method("/credence.v1.Membership/GetDocument") is None
