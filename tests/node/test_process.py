"""A running node: one a home, its port its own, newcomers let in, nothing left behind."""

import socket
import threading
import time

import pytest
import structlog

from node.bootstrap import init_node, join, open_node
from node.home import is_running
from node.network.documents import NotJoined
from node.network.rpc_errors import remote_errors
from node.periodic import Periodic
from node.process import running
from protocols.envelope import SuiteUnsupported
from protocols.errors import AlreadyRunning, PortInUse, StateConflict
from protocols.v1.exchange_pb2 import SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.node.coordinated import free_port, invite, now_ms, serving_coordinator


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory):
    with serving_coordinator(tmp_path_factory.mktemp("network") / "coordinator") as opened:
        yield opened


@pytest.fixture
def make(coordinator, tmp_path):
    def node(member_id, **options):
        home = tmp_path / member_id
        given = {"listen": f"127.0.0.1:{free_port()}", "train": False, "refresh_s": 10.0}
        init_node(home, member_id=member_id, name=member_id, role="bank", **(given | options))
        join(home, invite(coordinator, member_id), now_ms())
        return home

    return node


def test_a_node_serves_until_it_is_told_to_stop(make):
    home = make("serves-one")
    with running(home, now_ms) as process:
        assert is_running(home)
        endpoint = ("127.0.0.1", process.port)
        socket.create_connection(endpoint).close()
    assert not is_running(home)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(endpoint)
    assert not [one for one in threading.enumerate() if one.name in {"documents", "tidy"}]


def test_a_second_run_on_one_home_is_refused(make):
    home = make("runs-once")
    with running(home, now_ms), pytest.raises(AlreadyRunning), running(home, now_ms):
        pass


def test_a_taken_port_is_refused_and_nothing_stays_up(make):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        home = make("port-less", listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(PortInUse), running(home, now_ms):
            pass
    assert not is_running(home)


def test_a_face_whose_port_is_taken_keeps_the_member_port_closed(make):
    port = free_port()
    home = make("faceless", listen=f"127.0.0.1:{port}")

    def face(node):
        # The member port is still free here: whoever asks now is not half served.
        socket.create_server(("127.0.0.1", port)).close()
        raise PortInUse("cannot listen for HTTP")

    with pytest.raises(PortInUse), running(home, now_ms, face):
        pass
    assert not is_running(home)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_face_begins_last_and_stops_first(make):
    said = []

    class Door:
        def start(self):
            said.append("start")

        def stop(self):
            said.append("stop")

    home = make("two-faced")
    with running(home, now_ms, lambda _node: Door()) as process:
        assert said == ["start"]
        port = process.port
    assert said[1] == "stop"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_node_that_has_not_joined_does_not_run(tmp_path):
    init_node(tmp_path / "home", member_id="lonely", name="L", role="bank")
    with pytest.raises(NotJoined), running(tmp_path / "home", now_ms):
        pass


def test_a_member_that_joined_a_moment_ago_is_let_in(make):
    first = make("old-member")
    with running(first, now_ms) as process:
        version = process.node.documents.directory().version
        newcomer = open_node(make("new-member"))
        try:
            stub = ExchangeStub(newcomer.channels.to_member("old-member"))
            time.sleep(1.1)  # the directory is asked for at most once a second
            with pytest.raises(SuiteUnsupported), remote_errors("old-member"):
                stub.Fetch(SealedRequest(), timeout=10)
        finally:
            newcomer.close()
        assert process.node.documents.directory().version > version


def test_work_that_fails_is_logged_once_and_goes_on():
    turns, enough = [], threading.Event()

    def work():
        turns.append(len(turns))
        if len(turns) == 5:
            enough.set()
        if len(turns) < 4:
            raise StateConflict("not now")

    with structlog.testing.capture_logs() as logs:
        periodic = Periodic("test", 0.001, work)
        periodic.start()
        assert enough.wait(5)
        periodic.stop()
    assert [entry["event"] for entry in logs] == ["periodic.failing"]


def test_work_that_breaks_is_told_without_its_text_and_goes_on():
    turns, enough = [], threading.Event()

    def work():
        turns.append(len(turns))
        if len(turns) == 1:
            raise ValueError("110101199003078515")
        enough.set()

    with structlog.testing.capture_logs() as logs:
        periodic = Periodic("test", 0.001, work)
        periodic.start()
        assert enough.wait(5)
        periodic.stop()
    assert [entry["error"] for entry in logs] == ["ValueError"]
    assert "110101" not in str(logs)
