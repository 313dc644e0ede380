"""Relayed calls behave as gRPC's own: pace, sizes, deadlines, cancelling, errors."""

import itertools
import threading
import time
from dataclasses import replace

import grpc
import pytest

from node.network.gate import MemberGate
from node.network.rpc_errors import PeerFailed, PeerTooSlow, TooManyRequests, remote_errors
from node.network.transport import (
    DeadlineRequired,
    TransportLimits,
    open_channel,
    peer_member,
)
from node.relay.desk import Desk, Services
from node.relay.line import RelayLine, Timing
from protocols.certificates import COORDINATOR_DNS
from protocols.errors import CredenceError, StateConflict
from protocols.relay import DEFAULT_RELAY_LIMITS
from tests.network import MEMBERS, now_ms
from tests.relay.world import HIDDEN, open_world

LIMITS = TransportLimits(request_bytes=256 * 1024, calls_per_member=4, workers=8)


class Probe:
    """A servicer whose methods a test sets."""

    def __init__(self):
        self.act = lambda request, context: request
        self.many = lambda requests, context: requests

    def register(self, server):
        server.add_registered_method_handlers(
            "probe.Probe",
            {
                "One": grpc.unary_unary_rpc_method_handler(
                    lambda request, context: self.act(request, context)
                ),
                "Many": grpc.stream_stream_rpc_method_handler(self.stream),
            },
        )

    def stream(self, requests, context):
        yield from self.many(requests, context)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    members = [one for one in MEMBERS if one.member_id in {"bank-a", HIDDEN}]
    with open_world(tmp_path_factory.mktemp("calls"), members=members) as world:
        probe = Probe()
        world.lines.pop(HIDDEN).stop()
        world.lines[HIDDEN] = line = line_of(world.network.node(HIDDEN), probe)
        line.start()
        assert line.wait_attached(10)
        yield world, probe


def line_of(node, probe):
    def dial():
        identity = node.identity()
        endpoint = node.settings.coordinator_endpoint
        return open_channel(endpoint, COORDINATOR_DNS, identity.ca, identity, LIMITS)

    desk = Desk(
        member_id=node.member_id,
        signing=lambda: node.keys.signing,
        sealing=lambda: node.keys.sealing,
        source=node.documents,
        gate=MemberGate(node.documents, LIMITS),
        services=Services([probe.register]),
        now_ms=now_ms,
    )
    timing = Timing(heartbeat=0.5, first_wait=0.05, longest_wait=0.2)
    return RelayLine(
        dial, desk, workers=LIMITS.workers, request_bytes=LIMITS.request_bytes, timing=timing
    )


@pytest.fixture
def world(opened):
    return opened[0]


@pytest.fixture
def probe(opened):
    opened[1].__init__()
    return opened[1]


def channel(world):
    return world.network.node("bank-a").routes.to_member(HIDDEN)


def one(world, data=b"", timeout=5.0):
    with remote_errors(HIDDEN):
        return channel(world).unary_unary("/probe.Probe/One")(data, timeout=timeout)


def many(world, requests, timeout=10.0):
    return channel(world).stream_stream("/probe.Probe/Many")(iter(requests), timeout=timeout)


def eventually(holds, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def test_a_handler_learns_who_calls(world, probe):
    probe.act = lambda _, context: peer_member(context).encode()
    assert one(world) == b"bank-a"


@pytest.mark.parametrize("size", [0, 1, 255, 131_072, 262_144])
def test_messages_of_any_size_within_the_limit_arrive_whole(world, probe, size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert one(world, data) == data


def test_an_answer_may_be_larger_than_a_request(world, probe):
    probe.act = lambda request, context: bytes(2 * 1024 * 1024)
    assert len(one(world)) == 2 * 1024 * 1024


def test_a_request_beyond_the_limit_is_refused(world, probe):
    with pytest.raises(CredenceError) as caught:
        one(world, bytes(LIMITS.request_bytes + 1))
    assert caught.value.code == "relay_frame_refused"


def test_an_answer_beyond_the_limit_is_refused_by_the_caller(world, probe):
    probe.act = lambda request, context: bytes(2 * 1024 * 1024 + 1)
    with pytest.raises(CredenceError) as caught:
        one(world)
    assert caught.value.code == "relay_frame_refused"


def test_answers_come_while_requests_still_go(world, probe):
    answered = threading.Semaphore(0)

    def one_by_one():
        for n in range(5):
            yield b"%d" % n
            assert answered.acquire(timeout=5)

    found = []
    for answer in many(world, one_by_one()):
        found.append(answer)
        answered.release()
    assert found == [b"0", b"1", b"2", b"3", b"4"]


def test_a_caller_that_stops_reading_stops_the_callee_and_nobody_else(world, probe):
    made = itertools.count()

    def endless(requests, context):
        for _ in made:
            yield bytes(100_000)

    probe.many = endless
    call = many(world, [])
    for _ in range(3):
        next(call)
    time.sleep(0.5)
    produced = next(made)
    assert produced <= 3 + DEFAULT_RELAY_LIMITS.window + 2
    assert one(world, b"others go on") == b"others go on"
    call.cancel()
    assert eventually(lambda: world.relay.under_way() == 0)


def test_a_callee_that_stops_reading_stops_the_caller(world, probe):
    release = threading.Event()
    drawn = itertools.count()

    def unread(requests, context):
        release.wait(10)
        yield b"%d" % sum(1 for _ in requests)

    def requests():
        for _ in range(50):
            next(drawn)
            yield bytes(100_000)

    probe.many = unread
    call = many(world, requests())
    answers = []
    reader = threading.Thread(target=lambda: answers.extend(call))
    reader.start()
    time.sleep(0.5)
    assert next(drawn) <= DEFAULT_RELAY_LIMITS.window + 2
    release.set()
    reader.join(10)
    assert answers == [b"50"]


def test_a_handler_that_is_too_slow_is_given_up_and_told(world, probe):
    over = threading.Event()

    def slow(request, context):
        context.add_callback(over.set)
        over.wait(10)
        return b""

    probe.act = slow
    started = time.monotonic()
    with pytest.raises(PeerTooSlow):
        one(world, timeout=0.4)
    assert time.monotonic() - started < 3
    assert over.wait(5)


def test_a_call_that_is_dropped_ends_at_the_callee(world, probe):
    over = threading.Event()

    def waits(requests, context):
        context.add_callback(over.set)
        yield b"first"
        for _ in requests:
            pass

    probe.many = waits
    hold = threading.Event()
    call = many(world, iter(lambda: hold.wait(10) or b"", None))
    assert next(call) == b"first"
    del call
    assert over.wait(5)
    hold.set()
    assert eventually(lambda: world.relay.under_way() == 0)


@pytest.mark.parametrize("timeout", [None, 3600])
def test_a_call_without_a_near_deadline_is_refused(world, probe, timeout):
    with pytest.raises(DeadlineRequired):
        one(world, timeout=timeout)


def test_one_member_cannot_occupy_the_callee(world, probe):
    entered, release = threading.Semaphore(0), threading.Event()

    def waits(request, context):
        entered.release()
        release.wait(10)
        return b"done"

    probe.act = waits
    results = []
    calls = [
        threading.Thread(target=lambda: results.append(one(world)))
        for _ in range(LIMITS.calls_per_member)
    ]
    for call in calls:
        call.start()
    assert all(entered.acquire(timeout=5) for _ in calls)
    with pytest.raises(TooManyRequests) as caught:
        one(world)
    assert caught.value.retry_after_ms > 0
    release.set()
    for call in calls:
        call.join(5)
    assert results == [b"done"] * LIMITS.calls_per_member


def test_a_method_that_is_not_served_is_refused(world, probe):
    with pytest.raises(CredenceError) as caught, remote_errors(HIDDEN):
        channel(world).unary_unary("/probe.Probe/Other")(b"", timeout=5)
    assert caught.value.code == "method_unknown"


def test_an_error_keeps_its_class_and_text(world, probe):
    def refuse(request, context):
        raise StateConflict("it is so")

    probe.act = refuse
    with pytest.raises(StateConflict, match="payments: it is so"):
        one(world)


def test_an_unexpected_error_travels_without_its_text(world, probe):
    def breaks(request, context):
        raise ValueError("110101199003078515")

    probe.act = breaks
    with pytest.raises(PeerFailed) as caught:
        one(world)
    assert "110101" not in str(caught.value)


def test_a_status_that_a_handler_chose_itself_stays(world, probe):
    def gone(request, context):
        context.abort(grpc.StatusCode.DATA_LOSS, "gone")

    probe.act = gone
    with pytest.raises(PeerFailed, match="DATA_LOSS"):
        one(world)


def test_making_a_request_that_fails_ends_the_call(world, probe):
    def broken():
        yield b"first"
        raise ValueError("110101199003078515")

    with pytest.raises(CredenceError) as caught, remote_errors(HIDDEN):
        list(many(world, broken()))
    assert "110101" not in str(caught.value)
    assert eventually(lambda: world.relay.under_way() == 0)


def test_a_second_line_of_a_member_replaces_the_first(world, probe):
    first = world.lines[HIDDEN]
    first._timing = replace(first._timing, first_wait=30.0, longest_wait=30.0)  # it stays away
    second = line_of(world.network.node(HIDDEN), probe)
    second.start()
    assert second.wait_attached(10)
    assert eventually(lambda: not first.wait_attached(0))
    assert one(world, b"x") == b"x"
    first.stop()
    world.lines[HIDDEN] = second
