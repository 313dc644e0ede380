"""The relay at the coordinator: who is put through, and how much it holds."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.relay.switchboard import Switchboard
from protocols.directory import Directory, MemberEntry, MemberNotActive, UnknownMember
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.relay import (
    RelayAbsent,
    RelayBusy,
    RelayFrameRefused,
    RelayIdle,
    RelayLimits,
    RelayOverrun,
    RelayReplaced,
)
from protocols.v1.relay_pb2 import RelayClose, RelayDial, RelayFrame, RelayOpening, RelayTicket

LIMITS = RelayLimits(
    window=2, window_bytes=100, calls_per_caller=2, calls_per_callee=3, calls=4, streams=2
)
TICKET = RelayFrame(ticket=RelayTicket(body=b"ticket"))
OPENING = RelayFrame(opening=RelayOpening(caller="a-bank"))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Board(Switchboard):
    """A switchboard in a network of five, whose clock and members a test sets."""

    def __init__(self, limits=LIMITS):
        self.told = []
        self.status = dict.fromkeys(("a-bank", "b-bank", "c-bank", "holder", "other"), "active")
        self.clock = Clock()
        super().__init__(
            self.members, lambda *told: self.told.append(told), limits=limits, now=self.clock
        )

    def members(self):
        entries = [_entry(name, status) for name, status in sorted(self.status.items())]
        return Directory(1, 0, 0, tuple(entries), KEY)


KEY = SigningKey.from_seed(bytes(32)).verify_key.bytes


def _entry(name, status):
    return MemberEntry(
        member_id=name,
        name=name,
        role="bank",
        licence="",
        contact="",
        holds=(),
        signing_key=KEY,
        sealing_key=KEY,
        certificate_sha256=bytes(32),
        endpoint=None,
        status=status,
        joined_at_ms=0,
    )


def frame(**content):
    return RelayFrame(**content)


def dial(board, caller="a-bank", callee="holder", *, opened=True):
    circuit = board.dial(caller, frame(dial=RelayDial(callee=callee)))
    if opened:
        board.from_caller(circuit, frame(opening=OPENING.opening))
    return circuit


def waiting(frames):
    """What a stream has to send; None is its end."""
    found = []
    while not frames.empty():
        found.append(frames.get())
    return found


def kinds(frames):
    return [one and one.WhichOneof("frame") for one in waiting(frames)]


@pytest.fixture
def board():
    return Board()


@pytest.fixture
def line(board):
    return board.attach("holder", TICKET)


def test_a_call_is_carried_both_ways_under_its_number(board, line):
    circuit = dial(board)
    assert kinds(circuit.frames) == ["ticket"]
    (opening,) = waiting(line.frames)
    assert (opening.call, opening.WhichOneof("frame")) == (circuit.number, "opening")
    board.from_caller(circuit, frame(sealed=b"question"))
    assert waiting(line.frames)[0] == frame(call=circuit.number, sealed=b"question")
    board.from_line(line, frame(call=circuit.number, credit=1))
    board.from_line(line, frame(call=circuit.number, sealed=b"answer"))
    board.from_line(line, frame(call=circuit.number, close=RelayClose()))
    assert kinds(circuit.frames) == ["credit", "sealed", "close", None]
    assert board.told == [("a-bank", "holder", 8, 6)]
    assert board.under_way() == 0


def test_whoever_keeps_no_line_is_absent(board):
    with pytest.raises(RelayAbsent):
        dial(board)


@pytest.mark.parametrize("who", ["a-bank", "holder"])
def test_only_active_members_are_put_through(board, line, who):
    board.status[who] = "suspended"
    with pytest.raises(MemberNotActive):
        dial(board)
    with pytest.raises(UnknownMember):
        dial(board, "b-bank", "nowhere")


def test_a_newer_line_replaces_the_older_and_its_calls_end(board, line):
    circuit = dial(board)
    newer = board.attach("holder", TICKET)
    assert kinds(line.frames)[-1] is None
    assert isinstance(line.failure, RelayReplaced)
    assert isinstance(circuit.failure, RelayAbsent)
    board.detach(line)  # the older one's end does not touch the newer
    assert board.attached() == ["holder"]
    fresh = dial(board)
    assert fresh.line is newer


def test_what_an_older_line_still_sends_reaches_nobody(board, line):
    circuit = dial(board)
    board.attach("holder", TICKET)
    board.from_line(line, frame(call=circuit.number, sealed=b"late"))
    assert kinds(circuit.frames) == ["ticket", None]


def test_a_line_cannot_speak_on_another_members_call(board, line):
    circuit = dial(board)
    other = board.attach("other", TICKET)
    board.from_line(other, frame(call=circuit.number, sealed=b"forged"))
    board.from_line(other, frame(call=circuit.number, close=RelayClose()))
    assert kinds(circuit.frames) == ["ticket"]
    assert board.under_way() == 1


def test_a_caller_that_sends_more_than_was_credited_is_cut_off(board, line):
    circuit = dial(board)
    for _ in range(LIMITS.window):
        board.from_caller(circuit, frame(sealed=b"x"))
    with pytest.raises(RelayOverrun):
        board.from_caller(circuit, frame(sealed=b"x"))


def test_a_window_has_a_size_in_bytes_too(board, line):
    circuit = dial(board)
    with pytest.raises(RelayOverrun):
        board.from_caller(circuit, frame(sealed=bytes(LIMITS.window_bytes + 1)))


def test_a_callee_that_sends_more_than_was_credited_loses_the_call_and_keeps_its_line(board, line):
    circuit, bystander = dial(board), dial(board, "b-bank")
    for _ in range(LIMITS.window + 1):
        board.from_line(line, frame(call=circuit.number, sealed=b"x"))
    assert isinstance(circuit.failure, RelayOverrun)
    assert board.attached() == ["holder"]
    board.from_line(line, frame(call=bystander.number, sealed=b"x"))
    assert kinds(bystander.frames) == ["ticket", "sealed"]


def test_credit_for_nothing_is_refused(board, line):
    circuit = dial(board)
    with pytest.raises(RelayOverrun):
        board.from_caller(circuit, frame(credit=1))


def test_a_member_that_does_not_read_its_line_is_cut_off(board, line):
    for _ in range(100):
        board.from_line(line, frame(heartbeat=1))
    assert board.attached() == []
    assert isinstance(line.failure, RelayOverrun)
    assert line.frames.qsize() < 100


def test_calls_have_limits_for_caller_callee_and_all(board, line):
    dial(board), dial(board)
    with pytest.raises(RelayBusy):
        dial(board)  # two a caller
    dial(board, "b-bank")
    with pytest.raises(RelayBusy):
        dial(board, "c-bank")  # three to a callee
    board.attach("other", TICKET)
    dial(board, "b-bank", "other")
    with pytest.raises(RelayBusy):
        dial(board, "c-bank", "other")  # four in all


def test_a_call_that_ends_makes_room(board, line):
    calls = [dial(board), dial(board)]
    board.hang_up(calls[0])
    dial(board)
    assert board.under_way() == 2


def test_there_are_as_many_lines_as_there_may_be(board, line):
    board.attach("other", TICKET)
    with pytest.raises(RelayBusy):
        board.attach("a-bank", TICKET)
    board.attach("other", TICKET)  # one that replaces takes no room


def test_a_suspended_member_loses_its_line_and_its_calls(board, line):
    board.attach("other", TICKET)
    calls = [dial(board), dial(board, "b-bank", "other")]
    board.status["b-bank"] = board.status["holder"] = "suspended"
    board.sweep()
    assert board.attached() == ["other"]
    assert isinstance(line.failure, MemberNotActive)
    assert [type(one.failure) for one in calls] == [RelayAbsent, MemberNotActive]
    assert board.under_way() == 0


def test_a_line_that_falls_silent_is_dropped_and_a_heartbeat_keeps_it(board, line):
    board.clock.now = LIMITS.silence_s
    board.from_line(line, frame(heartbeat=5))
    assert waiting(line.frames) == [frame(heartbeat=5)]
    board.clock.now = 2 * LIMITS.silence_s
    board.sweep()
    assert board.attached() == ["holder"]
    board.clock.now += 1
    board.sweep()
    assert board.attached() == []


def test_a_call_that_rests_is_ended(board, line):
    circuit = dial(board)
    board.clock.now = LIMITS.idle_s + 1
    line.seen_at = board.clock.now
    board.sweep()
    assert isinstance(circuit.failure, RelayIdle)
    assert kinds(line.frames) == ["opening", "close"]


@pytest.mark.parametrize(
    "first", [frame(sealed=b"x"), frame(heartbeat=1), frame(dial=RelayDial(callee="holder"))]
)
def test_a_stream_begins_with_a_ticket(board, first):
    with pytest.raises(RelayFrameRefused):
        board.attach("holder", first)


@pytest.mark.parametrize("first", [frame(sealed=b"x"), TICKET, frame(opening=OPENING.opening)])
def test_a_call_begins_with_whom_it_is_for(board, line, first):
    with pytest.raises(RelayFrameRefused):
        board.dial("a-bank", first)


@pytest.mark.parametrize("second", [frame(sealed=b"x"), frame(credit=1), TICKET])
def test_a_call_goes_on_with_its_opening(board, line, second):
    circuit = dial(board, opened=False)
    with pytest.raises(RelayFrameRefused):
        board.from_caller(circuit, second)
    fresh = dial(board, "b-bank")
    with pytest.raises(RelayFrameRefused):
        board.from_caller(fresh, frame(opening=OPENING.opening))  # a second one


def test_a_closed_board_ends_everything(board, line):
    circuit = dial(board)
    board.close()
    assert kinds(line.frames)[-1] is None
    assert kinds(circuit.frames)[-1] is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("dial"), st.sampled_from(["a-bank", "b-bank", "c-bank"])),
        st.tuples(st.just("caller"), st.integers(0, 5), st.sampled_from(["sealed", "credit"])),
        st.tuples(
            st.just("callee"), st.integers(1, 6), st.sampled_from(["sealed", "credit", "close"])
        ),
        st.tuples(st.just("hang up"), st.integers(0, 5)),
        st.tuples(st.just("attach")),
        st.tuples(st.just("sweep")),
    ),
    max_size=60,
)


@given(steps=STEPS)
@settings(deadline=None)
def test_whatever_members_do_the_relay_holds_no_more_than_its_windows(steps):
    board = Board()
    line, calls = board.attach("holder", TICKET), []
    for step in steps:
        with suppress(CredenceError):
            line = play(board, line, calls, step) or line
        assert board.under_way() <= LIMITS.calls_per_callee
        for circuit in board._circuits.values():
            for direction in (circuit.there, circuit.back):
                assert len(direction.sizes) <= LIMITS.window + 1
            assert circuit.frames.qsize() <= 4 * LIMITS.window + 2
        assert sum(board._by_caller.values()) == board.under_way() == len(line.calls)


def play(board, line, calls, step):
    name, *more = step
    made = {
        "sealed": frame(sealed=b"x" * 10),
        "credit": frame(credit=1),
        "close": frame(close=RelayClose()),
    }
    if name == "dial":
        calls.append(dial(board, more[0]))
    elif name == "attach":
        return board.attach("holder", TICKET)
    elif name == "sweep":
        board.sweep()
    elif name == "callee":
        made[more[1]].call = more[0]
        board.from_line(line, made[more[1]])
    elif calls and name == "hang up":
        board.hang_up(calls[more[0] % len(calls)])
    elif calls:
        circuit = calls[more[0] % len(calls)]
        try:
            board.from_caller(circuit, made[more[1]])
        except CredenceError as error:
            board.hang_up(circuit, error)
    return None
