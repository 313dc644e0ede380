"""Servicers that block, behind the event loop of the member port: as in a server of threads."""

import threading
import time

import grpc
import pytest
import structlog

from node.network.rpc_errors import PeerFailed, PeerTooSlow, remote_errors
from node.network.server import MemberServer
from node.network.transport import TransportLimits, open_channel
from node.network.worker_calls import READ_AHEAD, WRITE_BEHIND
from protocols.certificates import member_dns
from protocols.errors import StateConflict
from tests.network import MEMBERS, open_network

LIMITS = TransportLimits(workers=4, waiting=8)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with open_network(tmp_path_factory.mktemp("network"), MEMBERS[:2]) as opened:
        yield opened


class Streams(grpc.GenericRpcHandler):
    """Every method is a stream that `act` answers."""

    def __init__(self, act):
        self.act = act

    def service(self, handler_call_details):
        return grpc.stream_stream_rpc_method_handler(self.act)


@pytest.fixture
def channel(network):
    """Serve `act` as a stream of bank-b's; a channel of bank-a's to it."""
    opened = []

    def serve(act, limits=LIMITS):
        node = network.node("bank-b")
        server = MemberServer(
            node.identity,
            node.documents,
            [lambda made: made.add_generic_rpc_handlers([Streams(act)])],
            limits,
        )
        endpoint = f"127.0.0.1:{server.bind('127.0.0.1:0')}"
        server.start()
        caller = network.node("bank-a").identity()
        channel = open_channel(endpoint, member_dns("bank-b"), network.ca, caller, LIMITS)
        opened.append((channel, server))
        return channel

    yield serve
    for one, server in opened:
        one.close()
        server.stop(0)


def stream(channel, requests, timeout=20.0):
    return channel.stream_stream("/probe/Stream")(iter(requests), timeout=timeout)


def test_every_message_is_answered_in_order(channel):
    opened = channel(lambda requests, _: (b"<" + one + b">" for one in requests))
    asked = [b"%d" % number for number in range(500)]
    assert list(stream(opened, asked)) == [b"<" + one + b">" for one in asked]


def test_an_error_ends_a_stream_after_what_came_before_it(channel):
    def act(requests, _):
        for one in requests:
            if one == b"2":
                raise StateConflict("not this one")
            yield one

    answers = stream(channel(act), [b"0", b"1", b"2", b"3"])
    assert [next(answers), next(answers)] == [b"0", b"1"]
    with pytest.raises(StateConflict, match="not this one"), remote_errors("bank-b"):
        next(answers)


def test_an_unexpected_error_in_a_stream_travels_without_its_text(channel):
    def act(requests, _):
        next(requests)
        raise ValueError("110101199003078515")
        yield

    answers = stream(channel(act), [b"0"])
    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(PeerFailed) as caught,
        remote_errors("bank-b"),
    ):
        next(answers)
    assert "110101199003078515" not in str(caught.value) + str(logs)
    assert [one["error"] for one in logs if one["event"] == "rpc.failed"] == ["ValueError"]


def test_a_servicer_that_does_not_take_messages_holds_its_caller_back(channel):
    handed, go_on = [], threading.Event()

    def act(requests, _):
        go_on.wait(10)
        yield from requests

    def asked():
        for number in range(400):
            handed.append(number)
            yield bytes(64 * 1024)

    answers = stream(channel(act), asked())
    settled = -1
    while settled != len(handed):
        settled = len(handed)
        time.sleep(0.5)
    assert READ_AHEAD <= settled < 400
    go_on.set()
    assert sum(1 for _ in answers) == 400


def test_a_caller_that_does_not_read_holds_the_servicer_back(channel):
    made = []

    def act(requests, _):
        next(requests)
        for number in range(2000):
            made.append(number)
            yield bytes(64 * 1024)

    answers = stream(channel(act), [b""])
    next(answers)
    settled = -1
    while settled != len(made):
        settled = len(made)
        time.sleep(0.5)
    assert settled < WRITE_BEHIND + 500
    answers.cancel()


def test_a_caller_that_goes_away_ends_the_call_at_the_servicer(channel):
    ended, told = threading.Event(), threading.Event()

    def act(requests, context):
        context.add_callback(told.set)
        try:
            yield from requests
        finally:
            ended.set()

    def asked():
        yield b"0"
        told.wait(10)

    answers = stream(channel(act), asked())
    assert next(answers) == b"0"
    answers.cancel()
    assert told.wait(5)
    assert ended.wait(5)


def test_a_servicer_that_answers_nobody_any_more_is_stopped(channel):
    ended = threading.Event()

    def act(requests, _):
        next(requests)
        try:
            while True:
                yield bytes(64 * 1024)
        finally:
            ended.set()

    answers = stream(channel(act), [b""])
    next(answers)
    answers.cancel()
    assert ended.wait(5)


def test_a_stream_beyond_its_deadline_is_given_up_on_both_sides(channel):
    ended = threading.Event()

    def act(requests, _):
        try:
            yield from requests
        finally:
            ended.set()

    def asked():
        yield b"0"
        ended.wait(10)

    answers = stream(channel(act), asked(), timeout=0.5)
    with pytest.raises(PeerTooSlow), remote_errors("bank-b"):
        list(answers)
    assert ended.wait(5)
