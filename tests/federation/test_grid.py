"""Flower's grid over our streams: what a node may send back, and what becomes of it."""

import threading

import pytest

from coordinator.federation.flower import (
    ConfigRecord,
    Message,
    ProtoMessage,
    RecordDict,
    message_from_proto,
    message_to_proto,
)
from coordinator.federation.grid import StreamGrid
from coordinator.federation.streams import Attachment, Streams
from protocols.federation import PROTOCOL, Joiner, cut
from protocols.v1.federation_pb2 import Hello, NodeFrame

RUN = 77


class Node:
    """A node at the other end of a stream, as bytes."""

    def __init__(self, streams: Streams, member_id: str, number: int) -> None:
        self.streams = streams
        self.attachment: Attachment = streams.open(member_id, number)
        self.say(NodeFrame(hello=Hello(member_id=member_id, protocol=PROTOCOL)))
        self.joiner = Joiner()

    def say(self, frame: NodeFrame) -> None:
        self.streams.receive(self.attachment, frame)

    def reply(self, message_id: str, data: bytes) -> None:
        for part in cut(message_id, data):
            self.say(NodeFrame(reply=part))

    def next_message(self) -> tuple[str, Message]:
        while True:
            frame = self.attachment.frames.get(timeout=5)
            if frame.WhichOneof("frame") == "message":
                data = self.joiner.add(frame.message)
                if data is not None:
                    message = message_from_proto(ProtoMessage.FromString(data))
                    return frame.message.message_id, message


@pytest.fixture
def streams() -> Streams:
    return Streams()


@pytest.fixture
def node(streams: Streams) -> Node:
    return Node(streams, "bank-a", 11)


@pytest.fixture
def grid(streams: Streams, node: Node) -> StreamGrid:
    return StreamGrid(streams, RUN, ["bank-a", "bank-b"], grace_s=0.0)


def question(grid: StreamGrid, number: int = 11) -> Message:
    content = RecordDict({"c": ConfigRecord({"x": 1})})
    return grid.create_message(content, "train", number, group_id="1")


def exchange(grid: StreamGrid, node: Node, make) -> Message:
    """Send one message and let `make(id, message)` give the bytes of the reply."""

    def serve() -> None:
        message_id, message = node.next_message()
        node.reply(message_id, make(message_id, message))

    thread = threading.Thread(target=serve)
    thread.start()
    (reply,) = grid.send_and_receive([question(grid)], timeout=5.0)
    thread.join(5)
    return reply


def encoded(message: Message) -> bytes:
    return message_to_proto(message).SerializeToString()


def test_a_reply_comes_back_to_its_message(grid, node):
    def echo(message_id: str, message: Message) -> bytes:
        assert message.metadata.run_id == RUN
        assert message.metadata.message_id == message_id
        return encoded(Message(message.content, reply_to=message))

    assert exchange(grid, node, echo).content["c"]["x"] == 1


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"x" * 1000])
def test_bytes_that_are_no_reply_become_an_error(grid, node, data):
    reply = exchange(grid, node, lambda _id, _message: data)
    assert reply.has_error()


@pytest.mark.parametrize(
    ("field", "value"),
    [("_run_id", 78), ("_src_node_id", 12), ("_reply_to_message_id", "other")],
)
def test_a_reply_of_another_run_node_or_message_becomes_an_error(grid, node, field, value):
    def forge(_id: str, message: Message) -> bytes:
        reply = Message(message.content, reply_to=message)
        reply.metadata.__dict__[field] = value
        return encoded(reply)

    reply = exchange(grid, node, forge)
    assert reply.error.reason == "reply_misdirected"


def test_only_members_that_are_attached_are_on_the_grid(grid, streams, node):
    Node(streams, "bank-c", 13)
    assert list(grid.get_node_ids()) == [11]
    Node(streams, "bank-b", 12)
    assert set(grid.get_node_ids()) == {11, 12}
    grid.drop("bank-a")
    assert list(grid.get_node_ids()) == [12]


def test_a_member_that_does_not_answer_is_left_out_at_the_deadline(grid):
    assert list(grid.send_and_receive([question(grid)], timeout=0.05)) == []


def test_a_message_to_nobody_is_not_waited_for(grid):
    assert list(grid.send_and_receive([question(grid, 99)], timeout=5.0)) == []


def test_pushed_messages_can_be_pulled(grid, node):
    (message_id,) = grid.push_messages([question(grid)])
    assert list(grid.pull_messages([message_id])) == []
    sent_id, message = node.next_message()
    node.reply(sent_id, encoded(Message(message.content, reply_to=message)))
    (reply,) = grid.pull_messages([message_id])
    assert reply.metadata.reply_to_message_id == message_id
