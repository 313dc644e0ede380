"""Flower's `Grid` over our own streams: no SuperLink, no process a message, no code shipped.

A strategy needs `get_node_ids` and `send_and_receive`. A reply is what a node may send, so it is
read with suspicion: what does not parse, or answers another message, run or node, becomes an error
reply and no strategy sees its content.
"""

import secrets
from collections.abc import Collection, Iterable

import structlog

from coordinator.federation.flower import (
    SUPERLINK_NODE_ID,
    ConfigRecord,
    Error,
    ErrorCode,
    Grid,
    Message,
    MessageType,
    ProtoMessage,
    RecordDict,
    Run,
    enter_run,
    message_from_proto,
    message_to_proto,
)
from coordinator.federation.ledgers import MemberLedgers
from coordinator.federation.streams import Streams
from protocols import federation as names

log = structlog.get_logger(__name__)

_RESULTS = frozenset({MessageType.TRAIN, MessageType.EVALUATE})


class StreamGrid(Grid):
    """The grid of one campaign.

    Args:
        streams: the live streams.
        run_id: Flower's number for the campaign.
        members: the members that take part; others are not on this grid.
        grace_s: how long a member whose stream broke is waited for within a round, seconds.
        ledgers: takes what members state of their ledgers with each result; None: nobody does.
    """

    def __init__(
        self,
        streams: Streams,
        run_id: int,
        members: Collection[str],
        *,
        grace_s: float,
        ledgers: MemberLedgers | None = None,
    ) -> None:
        self._ledgers = ledgers
        self._streams = streams
        self._members = set(members)
        self._grace_s = grace_s
        self._sent: dict[str, Message] = {}
        self._asked: dict[int, str] = {}
        self.set_run(Run.create_empty(run_id))

    def set_run(self, run: Run) -> None:
        """Set the run, and with it who this process is for Flower."""
        self._run = run
        enter_run(run.run_id)

    @property
    def run(self) -> Run:
        """The run of this grid."""
        return self._run

    @property
    def members(self) -> frozenset[str]:
        """The members that take part, attached or not."""
        return frozenset(self._members)

    def drop(self, member_id: str) -> None:
        """The member takes no further part in the campaign."""
        self._members.discard(member_id)

    def members_by_node(self) -> dict[int, str]:
        """Member id by Flower node id, of the members attached now."""
        attached = self._streams.attached()
        return {attached[key]: key for key in sorted(self._members) if key in attached}

    def get_node_ids(self) -> Iterable[int]:
        """The Flower node ids of the members attached now."""
        return list(self.members_by_node())

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message of this run."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; their ids, in order."""
        by_node = self.members_by_node()
        self._asked.update(by_node)
        pushed = []
        for message in messages:
            message_id = secrets.token_hex(16)
            # As Flower's own grids do: what identifies a message is the grid's to say.
            message.metadata.__dict__["_message_id"] = message_id
            message.metadata.__dict__["_run_id"] = self._run.run_id
            message.metadata.__dict__["_src_node_id"] = SUPERLINK_NODE_ID
            self._sent[message_id] = message
            pushed.append(message_id)
            member_id = by_node.get(message.metadata.dst_node_id)
            if member_id is not None:
                data = message_to_proto(message).SerializeToString()
                self._streams.post(member_id, message_id, data)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that are there now."""
        found = self._streams.replies(list(message_ids))
        return [self._open(message_id, data) for message_id, data in found.items()]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and wait for their replies, at most `timeout` seconds.

        A member that detached and stays away, or that was never there, is left out.
        """
        message_ids = list(self.push_messages(messages))
        found = self._streams.collect(message_ids, timeout, grace=self._grace_s)
        replies = [self._open(message_id, data) for message_id, data in found.items()]
        replies = self._with_ledgers(replies)
        for message_id in message_ids:
            self._sent.pop(message_id, None)
        return replies

    def _with_ledgers(self, replies: list[Message]) -> list[Message]:
        """The same; a result without a fitting statement of its member's ledger is refused."""
        if self._ledgers is None:
            return replies
        by_node = self._asked
        stated = {
            by_node[one.metadata.src_node_id]: _statement(one)
            for one in replies
            if not one.has_error() and one.metadata.message_type in _RESULTS
        }
        if not stated:
            return replies
        refused = self._ledgers.take(stated)
        return [
            _refused(self._sent[one.metadata.reply_to_message_id], refused[member_id])
            if not one.has_error() and (member_id := by_node[one.metadata.src_node_id]) in refused
            else one
            for one in replies
        ]

    def _open(self, message_id: str, data: bytes) -> Message:
        sent = self._sent[message_id]
        try:
            reply = message_from_proto(ProtoMessage.FromString(data))
            about = reply.metadata
            fits = (
                about.reply_to_message_id == message_id
                and about.run_id == self._run.run_id
                and about.src_node_id == sent.metadata.dst_node_id
                and about.message_type == sent.metadata.message_type
            )
        except Exception as error:  # noqa: BLE001 - Flower's parser, fed from outside
            log.warning("federation.reply_malformed", error=type(error).__name__)
            return _refused(sent, "malformed")
        return reply if fits else _refused(sent, "reply_misdirected")


def _statement(reply: Message) -> bytes:
    record = reply.content.get(names.LEDGER_STATEMENT)
    body = record.get(names.BODY) if isinstance(record, ConfigRecord) else None
    return body if isinstance(body, bytes) else b""


def _refused(sent: Message, code: str) -> Message:
    return Message(Error(ErrorCode.UNKNOWN, code), reply_to=sent)
