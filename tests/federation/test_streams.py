"""What the coordinator keeps of its training streams."""

import threading

import pytest

from coordinator.federation.streams import (
    UNSENT_FRAMES,
    Attachment,
    HelloRefused,
    StreamOverrun,
    StreamReplaced,
    Streams,
    StreamsClosed,
)
from protocols.directory import MemberNotActive
from protocols.errors import Malformed
from protocols.federation import PROTOCOL, cut
from protocols.v1.federation_pb2 import Acceptance, Heartbeat, Hello, NodeFrame
from protocols.v1.membership_pb2 import SignedDocument

PLAN = SignedDocument(kind="plan", body=b"{}")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def streams(clock: Clock) -> Streams:
    return Streams(silence_s=20.0, now=clock)


def hello(streams: Streams, member_id: str = "bank-a", number: int = 7) -> Attachment:
    attachment = streams.open(member_id, number)
    greeting = Hello(member_id=member_id, protocol=PROTOCOL)
    streams.receive(attachment, NodeFrame(hello=greeting))
    return attachment


def sent(attachment: Attachment) -> list[str]:
    """Kinds of the frames that went out so far."""
    kinds = []
    while not attachment.frames.empty():
        frame = attachment.frames.get()
        kinds.append("end" if frame is None else frame.WhichOneof("frame"))
    return kinds


def reply(streams: Streams, attachment: Attachment, message_id: str, data: bytes) -> None:
    for part in cut(message_id, data):
        streams.receive(attachment, NodeFrame(reply=part))


def test_a_stream_is_live_after_its_hello_only(streams):
    attachment = streams.open("bank-a", 7)
    assert streams.attached() == {}
    streams.receive(attachment, NodeFrame(hello=Hello(member_id="bank-a", protocol=PROTOCOL)))
    assert streams.attached() == {"bank-a": 7}
    assert sent(attachment) == ["welcome"]


@pytest.mark.parametrize(
    "frame",
    [
        NodeFrame(heartbeat=Heartbeat(sent_at_ms=1)),
        NodeFrame(hello=Hello(member_id="bank-b", protocol=PROTOCOL)),
        NodeFrame(hello=Hello(member_id="bank-a", protocol=2)),
        NodeFrame(),
    ],
    ids=["no hello", "another member", "another protocol", "empty"],
)
def test_a_first_frame_that_is_no_fitting_hello_is_refused(streams, frame):
    with pytest.raises(HelloRefused):
        streams.receive(streams.open("bank-a", 7), frame)
    assert streams.attached() == {}


def test_a_second_hello_and_an_empty_frame_are_refused(streams):
    attachment = hello(streams)
    with pytest.raises(HelloRefused):
        streams.receive(attachment, NodeFrame(hello=Hello(member_id="bank-a", protocol=1)))
    with pytest.raises(Malformed):
        streams.receive(attachment, NodeFrame())


def test_what_is_due_is_sent_again_after_a_new_attach_plan_first(streams):
    first = hello(streams)
    streams.post("bank-a", "m1", b"x")
    streams.offer("c", PLAN, ["bank-a"])
    assert sent(first) == ["welcome", "message", "plan"]
    streams.leave(first)
    assert sent(hello(streams)) == ["welcome", "plan", "message"]


def test_an_answered_message_is_not_sent_again(streams):
    first = hello(streams)
    streams.post("bank-a", "m1", b"x")
    reply(streams, first, "m1", b"y")
    assert sent(hello(streams)) == ["welcome"]
    assert streams.collect(["m1"], 0.0, grace=0.0) == {"m1": b"y"}


def test_a_reply_counts_once_and_only_from_the_member_that_was_asked(streams):
    asked, other = hello(streams), hello(streams, "bank-b", 8)
    streams.post("bank-a", "m1", b"x")
    reply(streams, other, "m1", b"forged")
    reply(streams, asked, "m2", b"never asked")
    reply(streams, asked, "m1", b"first")
    reply(streams, asked, "m1", b"second")
    assert streams.collect(["m1", "m2"], 0.0, grace=0.0) == {"m1": b"first"}
    reply(streams, asked, "m1", b"late")
    assert streams.replies(["m1"]) == {}


def test_a_newer_stream_replaces_the_older(streams):
    older = hello(streams)
    newer = hello(streams)
    assert sent(older) == ["welcome", "end"]
    assert isinstance(older.failure, StreamReplaced)
    streams.leave(older)
    assert streams.attached() == {"bank-a": 7}
    streams.leave(newer)
    assert streams.attached() == {}


def test_a_member_that_is_gone_is_waited_for_as_long_as_the_grace(streams, clock):
    attachment = hello(streams)
    streams.post("bank-a", "m1", b"x")
    streams.leave(attachment)
    clock.now += 3.0
    assert streams.collect(["m1"], None, grace=2.0) == {}


def test_a_silent_stream_counts_as_broken(streams, clock):
    attachment = hello(streams)
    clock.now += 21.0
    assert streams.attached() == {}
    assert sent(attachment) == ["welcome", "end"]


def test_a_heartbeat_keeps_a_stream_and_is_answered(streams, clock):
    attachment = hello(streams)
    for _ in range(3):
        clock.now += 15.0
        streams.receive(attachment, NodeFrame(heartbeat=Heartbeat(sent_at_ms=5)))
    assert streams.attached() == {"bank-a": 7}
    assert sent(attachment) == ["welcome", "heartbeat", "heartbeat", "heartbeat"]


def test_a_member_that_does_not_read_is_cut_off(streams):
    attachment = hello(streams)
    beat = NodeFrame(heartbeat=Heartbeat(sent_at_ms=5))
    for _ in range(UNSENT_FRAMES):
        streams.receive(attachment, beat)
    with pytest.raises(StreamOverrun):
        streams.receive(attachment, beat)


def test_an_answer_counts_only_to_a_plan_that_was_offered(streams):
    asked, other = hello(streams), hello(streams, "bank-b", 8)
    streams.offer("c", PLAN, ["bank-a"])
    for attachment in (asked, other):
        answer = Acceptance(campaign_id="c", cohort_band=100)
        streams.receive(attachment, NodeFrame(acceptance=answer))
    streams.receive(asked, NodeFrame(acceptance=Acceptance(campaign_id="other")))
    assert set(streams.answers("c", ["bank-a", "bank-b"], 0.0)) == {"bank-a"}
    streams.withdraw("c")
    assert streams.answers("c", ["bank-a"], 0.0) == {}


def test_a_refusal_code_of_any_length_is_not_stored(streams):
    attachment = hello(streams)
    streams.offer("c", PLAN, ["bank-a"])
    long = NodeFrame(acceptance=Acceptance(campaign_id="c", refusal="x" * 41))
    with pytest.raises(Malformed):
        streams.receive(attachment, long)


def test_members_that_may_no_longer_act_lose_their_stream(streams):
    kept, expelled = hello(streams), hello(streams, "bank-b", 8)
    streams.keep_only({"bank-a"})
    assert streams.attached() == {"bank-a": 7}
    assert isinstance(expelled.failure, MemberNotActive)
    assert kept.failure is None


def test_whoever_waits_is_woken_when_the_process_stops():
    streams, outcome = Streams(), []
    attachment = hello(streams)
    streams.post("bank-a", "m1", b"x")

    def wait() -> None:
        with pytest.raises(StreamsClosed):
            streams.collect(["m1"], None, grace=60.0)
        outcome.append("woken")

    thread = threading.Thread(target=wait)
    thread.start()
    streams.close()
    thread.join(5.0)
    assert outcome == ["woken"]
    assert sent(attachment)[-1] == "end"
